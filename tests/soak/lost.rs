//! A device that is lost at a random step: an error, and the last checkpoint is whole.

use crate::common::{gpu, say};
use crate::setting;
use crate::trained::{STEPS, arguments, train};
use tempfile::TempDir;
use wgrad::device::GpuDevice;
use wgrad::rng::Rng;
use wgrad::train::Lambda;
use wgrad::{Error, Params, Session};

#[test]
fn a_device_that_is_lost() {
    if gpu().open(&Params::new(0)).is_none() {
        return;
    }
    let open = |params: &Params| gpu().open(params).unwrap();
    let dir = TempDir::new().unwrap();
    let bits = train(open, arguments(&dir.path().join("whole")), Lambda::new()).unwrap();
    let folder = dir.path().join("lost");
    let mut rng = Rng::new(setting("WGRAD_SEED", 1), "lost");
    let losses = setting("WGRAD_SOAK_LOSSES", 3);
    for _ in 0..losses {
        let device = GpuDevice::open(&gpu().options, true).unwrap();
        let handle = device.wgpu().clone();
        let mut left = 1 + rng.below((STEPS / losses) as u32);
        let lose = Lambda::new().on_step_end(move |_| {
            left -= 1;
            if left == 0 {
                handle.destroy();
            }
            Ok(())
        });
        let on = |params: &Params| Session::on(Box::new(device), params).unwrap();
        let error = train(on, arguments(&folder), lose).unwrap_err();
        assert!(matches!(error, Error::DeviceLost(_)), "{error:?}");
    }
    assert_eq!(
        train(open, arguments(&folder), Lambda::new()).unwrap(),
        bits
    );
    say(&format!("{losses} devices lost\n"));
}
