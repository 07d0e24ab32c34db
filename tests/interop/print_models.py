"""Writes what PyTorch prints for models that tests/suite/look.rs builds: tests/fixtures/printed.txt.

    python3 tests/interop/print_models.py > tests/fixtures/printed.txt
"""

from torch import nn


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=2)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 10, bias=False)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 64, padding_idx=0)
        self.lstm = nn.LSTM(64, 128, num_layers=2, batch_first=True, dropout=0.25, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(256, 9)


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.mixed = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 4)])
        self.empty = nn.ModuleList()
        self.head = nn.Sequential(nn.Linear(4, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 1)))


MODELS = {
    "linear": nn.Linear(3, 2),
    "lenet": LeNet(),
    "tagger": Tagger(),
    "blocks": Blocks(),
    "sequential": nn.Sequential(
        nn.Conv1d(4, 8, 3, padding="same", bias=False),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(64, 10),
        nn.LogSoftmax(dim=1),
    ),
    "convolutions": nn.Sequential(
        nn.Conv1d(4, 8, 3, stride=2, padding=1),
        nn.Conv2d(4, 8, (3, 5), padding=(1, 2), dilation=2, groups=4, bias=False),
        nn.Conv3d(4, 8, 1, padding="valid"),
        nn.ConvTranspose1d(4, 8, 3),
        nn.ConvTranspose2d(4, 8, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose3d(4, 8, 3, dilation=2, groups=2, bias=False),
    ),
    "norms": nn.Sequential(
        nn.BatchNorm2d(8),
        nn.BatchNorm3d(8, eps=1e-3, momentum=None, affine=False, track_running_stats=False),
        nn.LayerNorm(64),
        nn.LayerNorm((8, 16), eps=1e-6, elementwise_affine=False),
        nn.LayerNorm(64, bias=False),
        nn.GroupNorm(2, 6),
        nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
        nn.RMSNorm(64, eps=1e-5),
        nn.RMSNorm(64),
    ),
    "recurrent": nn.Sequential(
        nn.LSTM(64, 128, num_layers=2, batch_first=True),
        nn.GRU(8, 16, bias=False),
        nn.RNN(8, 16, nonlinearity="relu"),
    ),
    "pools": nn.Sequential(
        nn.MaxPool1d(2),
        nn.MaxPool2d((2, 3), stride=1, padding=1),
        nn.MaxPool3d(2, ceil_mode=True),
        nn.AvgPool1d(2),
        nn.AvgPool2d(3, stride=2, padding=1),
        nn.AvgPool3d(2),
        nn.AdaptiveAvgPool1d(1),
        nn.AdaptiveAvgPool2d((3, 2)),
        nn.AdaptiveMaxPool3d(2),
        nn.Upsample(scale_factor=2.0),
        nn.Upsample(size=(4, 6), mode="bilinear"),
        nn.Identity(),
        nn.Dropout1d(),
        nn.Dropout2d(0.1),
        nn.Dropout3d(0.1),
    ),
    "activations": nn.Sequential(
        nn.ReLU(), nn.ReLU6(), nn.SiLU(), nn.Mish(), nn.Tanh(), nn.Sigmoid(), nn.Hardswish(), nn.Hardsigmoid(), nn.SELU(),
        nn.Softsign(), nn.LogSigmoid(), nn.Tanhshrink(), nn.GELU(), nn.GELU("tanh"), nn.Softplus(), nn.ELU(),
        nn.CELU(), nn.LeakyReLU(), nn.Hardtanh(), nn.Hardshrink(), nn.Softshrink(), nn.Threshold(0.1, 20.5), nn.GLU(),
        nn.Softmax(dim=-1), nn.LogSoftmax(dim=1), nn.PReLU(),
    ),
    "bilinear": nn.Bilinear(2, 3, 4),
    "attention": nn.MultiheadAttention(16, 4),
    "encoder": nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2, norm=nn.LayerNorm(16), enable_nested_tensor=False
    ),
    "transformer": nn.Transformer(16, 4, 2, 3, 32),
}

for name, model in MODELS.items():
    # A name for PyTorch's own use: the layer is a Linear.
    text = str(model).replace("NonDynamicallyQuantizableLinear", "Linear")
    print(f"== {name}\n{text}")
