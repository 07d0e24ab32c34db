//! Buffers that the host maps: a few of them, so that a run need not wait for the last one.

use super::Ticket;
use futures::channel::oneshot;

/// A buffer that is mapped, or waits to be.
pub struct Slot {
    /// The buffer.
    pub buffer: wgpu::Buffer,
    /// Resolves when the buffer is mapped; `None` while it is not waiting.
    pub mapping: Option<oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>>,
    /// For results: the run that they are of.
    pub ticket: Option<Ticket>,
}

impl Slot {
    /// A slot on a buffer that is not mapped.
    pub fn new(buffer: wgpu::Buffer) -> Self {
        Self {
            buffer,
            mapping: None,
            ticket: None,
        }
    }

    /// Ask for the buffer to be mapped.
    pub fn map(&mut self, mode: wgpu::MapMode) {
        let (sender, receiver) = oneshot::channel();
        self.buffer.map_async(mode, .., move |result| {
            let _ = sender.send(result); // nobody may be waiting any more
        });
        self.mapping = Some(receiver);
    }

    /// Wait until the buffer is mapped, if it was asked for.
    pub async fn mapped(&mut self, device: &wgpu::Device) -> Result<(), String> {
        let Some(mut receiver) = self.mapping.take() else {
            return Ok(());
        };
        // In a browser the event loop advances the device; elsewhere somebody has to.
        #[cfg(not(target_arch = "wasm32"))]
        loop {
            match receiver.try_recv() {
                Ok(Some(result)) => return result.map_err(|e| e.to_string()),
                Err(_) => return Err("the mapping was given up".to_owned()),
                Ok(None) => device
                    .poll(wgpu::PollType::wait_indefinitely())
                    .map(drop)
                    .map_err(|e| e.to_string())?,
            }
        }
        #[cfg(target_arch = "wasm32")]
        {
            let _ = device;
            match (&mut receiver).await {
                Ok(result) => result.map_err(|e| e.to_string()),
                Err(_) => Err("the mapping was given up".to_owned()),
            }
        }
    }
}
