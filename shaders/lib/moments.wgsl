// Number, mean and sum of squared distances from it, of elements that come in blocks.

struct Moments { n: f32, mean: f32, squares: f32 }

// With `n` more elements, whose distances from the mean so far have this sum and this sum of squares.
fn absorbed(m: Moments, n: f32, sum: f32, squares: f32) -> Moments {
    let total = m.n + n;
    let off = sum / n;
    return Moments(total, m.mean + off * (n / total), m.squares + squares - sum * off + off * off * (m.n * (n / total)));
}

// The same of all members of a team, which have `n` elements together.
fn team_moments(m: Moments, n: f32, member: u32) -> Moments {
    let mean = team_sum(m.mean * (m.n / n), member);
    let off = m.mean - mean;
    return Moments(n, mean, team_sum(m.squares + off * off * m.n, member));
}
