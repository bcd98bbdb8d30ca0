// Draws each cell of the picture as a square of `scale` window pixels, and the border around them. Uses whole numbers only:
// see layout.rs.

struct Place {
    left: i32,
    top: i32,
    columns: i32,
    rows: i32,
    scale: i32,
    border: f32,
    unused: vec2<i32>,
}

@group(0) @binding(0) var canvas: texture_2d<f32>;
@group(0) @binding(1) var<uniform> place: Place;

// One triangle that covers the window.
@vertex
fn vertex(@builtin(vertex_index) n: u32) -> @builtin(position) vec4<f32> {
    return vec4<f32>(f32(n & 1u) * 4.0 - 1.0, f32(n >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

@fragment
fn fragment(@builtin(position) at: vec4<f32>) -> @location(0) vec4<f32> {
    let inside = vec2<i32>(floor(at.xy)) - vec2<i32>(place.left, place.top);
    // Division rounds towards zero, so what is left of the picture or above it has to be told before.
    let size = vec2<i32>(place.columns, place.rows) * place.scale;
    if any(inside < vec2<i32>(0, 0)) || any(inside >= size) {
        return vec4<f32>(place.border, place.border, place.border, 1.0);
    }
    return vec4<f32>(textureLoad(canvas, inside / place.scale, 0).rgb, 1.0);
}
