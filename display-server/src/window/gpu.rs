//! Presents with a GPU. The cells of the picture are a texture, and only damaged rows are written to it. A shader of our own
//! draws it in the window, since the library's shader omits columns and rows at odd sizes.

use super::cells::Cells;
use super::compositing::BORDER;
use super::layout::Layout;
use super::presenter::{Frame, Presented, Presenter};
use crate::canvas::framebuffer::Framebuffer;
use draw_protocol::Size;
use pixels::wgpu::{self, SurfaceError};
use pixels::{Pixels, PixelsBuilder, SurfaceTexture};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use winit::window::Window;

/// Rows of cells that are written to the texture at once, from a buffer of our own.
const ROWS: u32 = 64;

pub(super) struct Gpu {
    pixels: Pixels<'static>,
    name: String,
    texture: wgpu::Texture,
    pipeline: wgpu::RenderPipeline,
    uniform: wgpu::Buffer,
    bindings: wgpu::BindGroup,
    /// The layout that the uniform and the surface were set up for.
    layout: Option<Layout>,
    /// The last error of the device that was not yet reported. The library panics unless a callback takes such errors.
    complaint: Arc<Mutex<Option<String>>>,
    cells: Cells,
    rgba: Vec<u8>,
    /// The columns and rows of cells in the texture.
    has: Option<(u32, u32)>,
}

impl Gpu {
    /// Opens the GPU of a window. With `only_real`, a processor in place of a GPU is refused.
    ///
    /// # Errors
    /// A sentence, if there is no driver, or the GPU cannot show a display of this size.
    pub(super) fn open(
        window: &Arc<Window>,
        size: Size,
        canvas: Size,
        only_real: bool,
    ) -> Result<Gpu, String> {
        let surface = SurfaceTexture::new(size.width.max(1), size.height.max(1), Arc::clone(window));
        // The library's own canvas, of one pixel, is not used. Mailbox does not wait for the monitor: frames come at its rate
        // already, and waiting would delay the events of all windows. Without Mailbox, presenting waits.
        let pixels = PixelsBuilder::new(1, 1, surface)
            .present_mode(wgpu::PresentMode::Mailbox)
            .build()
            .map_err(|error| match error {
                pixels::Error::AdapterNotFound | pixels::Error::CreateSurface(_) => {
                    "there is no graphics driver for this window".to_owned()
                }
                error => describe(&error),
            })?;
        let info = pixels.adapter().get_info();
        if only_real && info.device_type == wgpu::DeviceType::Cpu {
            return Err(format!("there is no GPU, only {}", info.name));
        }
        let longest = pixels.device().limits().max_texture_dimension_2d;
        if canvas.width > longest || canvas.height > longest {
            return Err(format!(
                "{} supports at most {longest} pixels per side, but the display has {canvas}",
                info.name
            ));
        }
        let complaint = Arc::new(Mutex::new(None));
        let heard = Arc::clone(&complaint);
        pixels.device().on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }));
        let texture = texture(pixels.device(), canvas);
        let (pipeline, uniform, bindings) = pipeline(&pixels, &texture);
        Ok(Gpu {
            name: format!("the GPU {} ({})", info.name, info.backend),
            texture,
            pipeline,
            uniform,
            bindings,
            layout: None,
            complaint,
            cells: Cells::new(canvas),
            rgba: vec![0; canvas.width as usize * 4 * ROWS.min(canvas.height) as usize],
            has: None,
            pixels,
        })
    }

    /// Writes rows of cells to the texture.
    fn upload(&mut self, framebuffer: &Framebuffer, columns: u32, rows: Range<u32>) {
        let stride = columns * 4;
        for first in rows.clone().step_by(ROWS as usize) {
            let rows = first..rows.end.min(first + ROWS);
            let bytes = &mut self.rgba[..rows.len() * stride as usize];
            for (y, row) in rows.clone().zip(bytes.chunks_exact_mut(stride as usize)) {
                row.copy_from_slice(self.cells.row(framebuffer, y));
            }
            let mut place = self.texture.as_image_copy();
            place.origin.y = rows.start;
            let layout =
                wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride), rows_per_image: None };
            let extent =
                wgpu::Extent3d { width: columns, height: rows.len() as u32, depth_or_array_layers: 1 };
            self.pixels.queue().write_texture(place, bytes, layout, extent);
        }
    }

    fn place(&mut self, layout: &Layout) -> Result<(), String> {
        let Size { width, height } = layout.window;
        self.pixels.resize_surface(width, height).map_err(|error| error.to_string())?;
        let Layout { left, top, columns, rows, scale, .. } = *layout;
        let border = linear(BORDER).to_bits();
        // The fields of `Place` in the shader.
        let place = [left, top, columns, rows, scale, border, 0, 0];
        let bytes: Vec<u8> = place.iter().flat_map(|number| number.to_ne_bytes()).collect();
        self.pixels.queue().write_buffer(&self.uniform, 0, &bytes);
        self.layout = Some(*layout);
        Ok(())
    }

    fn take_complaint(&self) -> Option<String> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Presenter for Gpu {
    fn present(&mut self, frame: &Frame<'_>) -> Result<Presented, String> {
        if self.layout != Some(*frame.layout) {
            self.place(frame.layout)?;
        }
        self.cells.begin(frame.layout);
        let Layout { columns, rows, .. } = *frame.layout;
        if self.has == Some((columns, rows)) {
            for rows in frame.damage.rows() {
                self.upload(frame.framebuffer, columns, frame.layout.cell_rows(&rows));
            }
        } else {
            self.upload(frame.framebuffer, columns, 0..rows);
            self.has = Some((columns, rows));
        }
        let rendered = self.pixels.render_with(|encoder, target, _| {
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: target,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations {
                        load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                        store: wgpu::StoreOp::Store,
                    },
                })],
                ..Default::default()
            });
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.bindings, &[]);
            pass.draw(0..3, 0..1);
            Ok(())
        });
        match (rendered, self.take_complaint()) {
            (Ok(()), None) => Ok(Presented::Shown),
            (_, Some(complaint)) => Err(complaint),
            // The window has changed its size since the last event, or its monitor is slow.
            (Err(pixels::Error::Surface(SurfaceError::Timeout | SurfaceError::Outdated)), None) => {
                self.layout = None;
                Ok(Presented::Later)
            }
            (Err(error), None) => Err(describe(&error)),
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// Returns the text of an error and of its sources.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text} {cause}");
        source = cause.source();
    }
    text
}

/// Converts a channel from sRGB to linear light, in which the shader computes; the surface converts it back to the same
/// number. The formula is that of IEC 61966-2-1.
fn linear(channel: u8) -> f32 {
    let value = f32::from(channel) / 255.0;
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

fn texture(device: &wgpu::Device, canvas: Size) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some("display"),
        size: wgpu::Extent3d { width: canvas.width, height: canvas.height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        // The surface is sRGB too, so a number that is read from the texture is written to the surface unchanged.
        format: wgpu::TextureFormat::Rgba8UnormSrgb,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    })
}

fn pipeline(
    pixels: &Pixels<'_>,
    texture: &wgpu::Texture,
) -> (wgpu::RenderPipeline, wgpu::Buffer, wgpu::BindGroup) {
    let device = pixels.device();
    let shader = device.create_shader_module(wgpu::include_wgsl!("shader.wgsl"));
    let uniform = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("place"),
        size: 32,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("display"),
        layout: None,
        vertex: wgpu::VertexState {
            module: &shader,
            entry_point: Some("vertex"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &shader,
            entry_point: Some("fragment"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(pixels.render_texture_format().into())],
        }),
        multiview: None,
        cache: None,
    });
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("display"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) },
            wgpu::BindGroupEntry { binding: 1, resource: uniform.as_entire_binding() },
        ],
    });
    (pipeline, uniform, bindings)
}
