"""Reads the event file of the tests with TensorBoard's own reader and checks what it holds.

    python3 tests/interop/read_events.py [FOLDER]

Needs tensorboard. With a folder it prints what is in the event files there instead.
"""

import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def load(folder):
    everything = {"scalars": 0, "histograms": 0, "tensors": 0}
    events = EventAccumulator(folder, size_guidance=everything)
    return events.Reload()


def main():
    if len(sys.argv) > 1:
        events = load(sys.argv[1])
        for tag in events.Tags()["scalars"]:
            print(tag, [(e.step, round(e.value, 5)) for e in events.Scalars(tag)])
        for kind in ["histograms", "tensors"]:
            print(kind, events.Tags()[kind])
        return
    events = load("tests/fixtures/tensorboard")
    loss = [(e.step, round(e.value, 6)) for e in events.Scalars("train/loss")]
    # Step 300 was taken back when the training went on after step 2.
    assert loss == [(1, 1.0), (2, 0.5), (3, 0.25)], loss
    rates = [(e.step, round(e.value, 9)) for e in events.Scalars("train/learning_rate")]
    assert rates == [(1, 0.001), (2, 0.001)], rates
    (text,) = events.Tensors("model/text_summary")
    assert text.tensor_proto.string_val[0] == b"    layer  output\n    fc     [2]\n", text
    plugin = events.SummaryMetadata("model/text_summary").plugin_data.plugin_name
    assert plugin == "text", plugin
    print("scalars and text as written")
    # Histograms lie at step 300, which is taken back: read them as they come.
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    path = "tests/fixtures/tensorboard/events.out.tfevents.0.fixture"
    values = [v for e in LegacyEventFileLoader(path).Load() for v in e.summary.value]
    found = {v.tag: v.histo for v in values if v.HasField("histo")}
    fc, same = found["weights/fc"], found["weights/same"]
    assert (fc.min, fc.max, fc.num, sum(fc.bucket)) == (0.0, 1.0, 100.0, 100.0), fc
    assert len(fc.bucket) == len(fc.bucket_limit) == 30 and fc.bucket_limit[-1] >= 1.0, fc
    assert abs(fc.sum - 50.0) < 1e-5, fc
    assert (same.min, same.max, same.num, sum(same.bucket)) == (2.0, 2.0, 2.0, 2.0), same
    gradients = found["gradients/fc"]
    assert (gradients.min, gradients.max, gradients.num) == (-0.5, 0.25, 3.0), gradients
    assert abs(gradients.sum + 0.25) < 1e-9 and sum(gradients.bucket) == 3.0, gradients
    print("histograms as written")


if __name__ == "__main__":
    main()
