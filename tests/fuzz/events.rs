//! The scalars of an event file, by TensorFlow's record format and the fields of `Event` alone.

/// Tags and values of all scalars.
///
/// # Panics
/// Where the file is none.
pub fn scalars(file: &[u8]) -> Vec<(String, f32)> {
    let mut found = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let (length, after) = rest.split_at(8);
        let (sum, after) = after.split_at(4);
        assert_eq!(masked(length), word(sum), "the checksum of a length");
        let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
        let (message, after) = after.split_at(length);
        let (sum, after) = after.split_at(4);
        assert_eq!(masked(message), word(sum), "the checksum of a record");
        rest = after;
        // Event.summary is 5, Summary.value 1, Value.tag 1, Value.simple_value 2
        for summary in fields(message).into_iter().filter(|f| f.0 == 5) {
            for value in fields(summary.1).into_iter().filter(|f| f.0 == 1) {
                let parts = fields(value.1);
                let part = |number| parts.iter().find(|f| f.0 == number).map(|f| f.1);
                if let (Some(tag), Some(x)) = (part(1), part(2)) {
                    let tag = String::from_utf8(tag.to_vec()).unwrap();
                    found.push((tag, f32::from_bits(word(x))));
                }
            }
        }
    }
    found
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap())
}

/// Numbers and contents of a message's fields.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut all = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                let before = message;
                varint(&mut message);
                all.push((key >> 3, &before[..before.len() - message.len()]));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)).unwrap(),
            5 => 4,
            kind => panic!("a field of kind {kind}"),
        };
        let (content, rest) = message.split_at(length);
        all.push((key >> 3, content));
        message = rest;
    }
    all
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return value;
        }
    }
    panic!("a number of more than ten bytes");
}

/// CRC-32C, masked as the format wants it.
fn masked(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc = (crc >> 1) ^ (0x82f6_3b78 * low);
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}
