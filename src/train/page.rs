//! Pieces of an HTML page.

pub(super) const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}\
h1{font-size:1.6em;margin-bottom:.2em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid #ddd}\
table{border-collapse:collapse}td,th{padding:.2em 1.2em .2em 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
th{font-weight:600;white-space:nowrap}.n td,.n th{text-align:right;font-variant-numeric:tabular-nums}\
.w{overflow-x:auto}.e{background:#fdeee6;border-left:4px solid #d65c1c;padding:.6em 1em}\
pre{background:#f6f6f6;padding:1em;overflow-x:auto;font-size:13px;line-height:1.35}svg{max-width:100%;height:auto}\
.m{display:grid;grid-template-columns:repeat(auto-fill,minmax(120px,1fr));gap:1em}figure{margin:0;overflow-wrap:anywhere}\
figure img{width:96px;height:96px;object-fit:contain;object-position:left;image-rendering:pixelated}\
figcaption{font-size:13px;line-height:1.35}small{color:#666}";

/// A page of its own, with nothing beside it.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body>\n{body}</body></html>\n"
    )
}

/// Text for HTML and SVG.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Names and values as a table.
pub(super) fn pairs(of: &[(String, String)]) -> String {
    let row = |(name, value): &(String, String)| {
        let (name, value) = (escaped(name), escaped(value));
        format!("<tr><th>{name}</th><td>{value}</td></tr>\n")
    };
    let rows: String = of.iter().map(row).collect();
    format!("<table>{rows}</table>\n")
}

/// A table of numbers below `heads`.
pub(super) fn numbers(heads: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String], tag: &str| {
        let cell = |c: &String| format!("<{tag}>{}</{tag}>", escaped(c));
        let cells: String = cells.iter().map(cell).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(|r| line(r, "td")).collect();
    format!(
        "<div class=\"w\"><table class=\"n\">{}{rows}</table></div>\n",
        line(heads, "th")
    )
}

/// `bytes` as in RFC 4648, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i > three.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let of = |text: &str| base64(text.as_bytes());
        assert_eq!(of(""), "");
        assert_eq!(of("f"), "Zg==");
        assert_eq!(of("fo"), "Zm8=");
        assert_eq!(of("foo"), "Zm9v");
        assert_eq!(of("foob"), "Zm9vYg==");
        assert_eq!(of("foobar"), "Zm9vYmFy");
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn what_is_said_stays_text() {
        let table = pairs(&[("a<b".into(), "\"&\"".into())]);
        assert!(table.contains("<th>a&lt;b</th><td>&quot;&amp;&quot;</td>"));
        let page = page("<x>", "body");
        assert!(page.contains("<title>&lt;x&gt;</title>") && !page.contains("<x>"));
    }
}
