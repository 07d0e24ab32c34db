// The gradient of a maximum pooling: one thread an element, or a workgroup one in many
// windows, which adds up the gradients of the windows that chose it.

override THREADS: u32 = 64u;
override TILED: bool = false; // windows lie side by side and cover the plane: one thread a window

@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read> indices: array<i32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let member = team_member(thread);
    let start = team_row((group.z * groups.y + group.y) * groups.x + group.x, thread);
    let step = team_step(groups.x * groups.y * groups.z);
    for (var at = start; at < p.n; at += step) {
        if (TILED) {
            window(at);
        } else {
            element(at, member);
        }
    }
}

// The gradient of one element: the sum over the windows that took it.
fn element(at: u32, member: u32) {
    let i = position(at, p.d.input, p.h.input, p.w.input);
    let plane = i.x * p.d.output * p.h.output * p.w.output;
    let depths = windows(p.d, i.y);
    let rows = windows(p.h, i.z);
    let columns = windows(p.w, i.w);
    let index = i32((i.y * p.h.input + i.z) * p.w.input + i.w);
    var sum = 0.0;
    if (TEAM == 1u) {
        for (var d = depths.x; d < depths.y; d++) {
            for (var h = rows.x; h < rows.y; h++) {
                let row = plane + (d * p.h.output + h) * p.w.output;
                for (var w = columns.x; w < columns.y; w++) {
                    if (indices[row + w] == index) {
                        sum += grad[row + w];
                    }
                }
            }
        }
    } else {
        let size = sizes(depths, rows, columns, vec3<u32>(1u));
        for (var k = member; k < size.x * size.y * size.z; k += TEAM) {
            let c = place(k, size) + vec3<u32>(depths.x, rows.x, columns.x);
            let here = plane + (c.x * p.h.output + c.y) * p.w.output + c.z;
            if (indices[here] == index) {
                sum += grad[here];
            }
        }
        sum = team_sum(sum, member);
    }
    if (member == 0u) {
        epilogue(at, sum);
    }
}

// The gradients of a window's elements: its own at the one that it took.
fn window(at: u32) {
    let o = position(at, p.d.output, p.h.output, p.w.output);
    let first = o.yzw * vec3<u32>(p.d.stride, p.h.stride, p.w.stride);
    let plane = o.x * p.d.input * p.h.input * p.w.input;
    let taken = u32(indices[at]);
    let g = grad[at];
    for (var d = first.x; d < first.x + p.d.kernel; d++) {
        for (var h = first.y; h < first.y + p.h.kernel; h++) {
            for (var w = first.z; w < first.z + p.w.kernel; w++) {
                let index = (d * p.h.input + h) * p.w.input + w;
                epilogue(plane + index, select(0.0, g, index == taken));
            }
        }
    }
}
