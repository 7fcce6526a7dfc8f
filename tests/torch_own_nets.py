"""The networks that no other library has, written in PyTorch with the names of their layers here.

`torch` is an argument, so that the module can be imported where PyTorch is not installed.
"""


def network(torch, name, settings, shape, classes):
    """The network of a registered model with these fields of its `Config`, for images of `shape` (H, W, C)."""
    return {
        "mlp": mlp,
        "small_cnn": small_cnn,
        "laf_cnn": laf_cnn,
        "allcnn": allcnn,
        "resnet9": resnet9,
        "resnet20": cifar_resnet,
        "wide_resnet": wide_resnet,
        "wide_resnet_corrective": wide_resnet_corrective,
    }[name](torch, settings, shape, classes)


def made(torch, modules, forward):
    """A module with these modules by name, whose output is `forward(module, x)`."""

    class Made(torch.nn.Module):
        def forward(self, x):
            return forward(self, x)

    module = Made()
    for name, inner in modules.items():
        module.add_module(name, inner)
    return module


def conv(torch, inputs, outputs, size=3, stride=1, padding=None, bias=False):
    padding = size // 2 if padding is None else padding
    return torch.nn.Conv2d(inputs, outputs, size, stride, padding, bias=bias)


def normed(torch, inputs, outputs, size=3, stride=1, padding=None, bias=False, act=None):
    """Convolution, BatchNorm and an activation."""
    act = act or torch.relu
    modules = {
        "conv": conv(torch, inputs, outputs, size, stride, padding, bias),
        "norm": torch.nn.BatchNorm2d(outputs),
    }
    return made(torch, modules, lambda m, x: act(m.norm(m.conv(x))))


def chain(modules):
    """A forward function that calls the modules of these names one after another."""

    def forward(module, x):
        for name in modules:
            x = getattr(module, name)(x)
        return x

    return forward


def mlp(torch, settings, shape, classes):
    nn, inputs = torch.nn, shape[0] * shape[1] * shape[2]
    modules = {}
    for number, width in enumerate(settings["hidden"], start=1):
        modules[f"dense{number}"] = nn.Linear(inputs, width)
        inputs = width
    hidden = list(modules)
    modules["head"] = nn.Linear(inputs, classes)

    def forward(module, x):
        x = x.flatten(1)
        for name in hidden:
            x = torch.relu(getattr(module, name)(x))
        return module.head(x)

    return made(torch, modules, forward)


def small_cnn(torch, settings, shape, classes):
    nn, (height, width, inputs) = torch.nn, shape
    modules = {}
    for number, outputs in enumerate(settings["channels"], start=1):
        modules[f"block{number}"] = normed(torch, inputs, outputs)
        inputs, height, width = outputs, height // 2, width // 2
    blocks = list(modules)
    modules["fc1"] = nn.Linear(inputs * height * width, settings["embedding"])
    modules["head"] = nn.Linear(settings["embedding"], classes)

    def forward(module, x):
        for name in blocks:
            x = torch.max_pool2d(getattr(module, name)(x), 2)
        return module.head(torch.relu(module.fc1(x.flatten(1))))

    return made(torch, modules, forward)


def laf_cnn(torch, settings, shape, classes):
    nn, (height, width, inputs) = torch.nn, shape
    first, second = settings["channels"]
    head = {
        "dense1": nn.Linear(settings["embedding"], settings["hidden"]),
        "dense2": nn.Linear(settings["hidden"], classes),
    }
    modules = {
        "conv1": conv(torch, inputs, first, 5, bias=True),
        "conv2": conv(torch, first, second, 5, bias=True),
        "fc1": nn.Linear(second * (height // 4) * (width // 4), settings["embedding"]),
        "head": made(torch, head, chain(head)),
    }

    def forward(module, x):
        for name in ("conv1", "conv2"):
            x = torch.max_pool2d(torch.relu(getattr(module, name)(x)), 2)
        return module.head(module.fc1(x.flatten(1)))

    return made(torch, modules, forward)


def allcnn(torch, settings, shape, classes):
    nn, (height, width, inputs) = torch.nn, shape
    plan = [(1, 3, 1), (1, 3, 1), (2, 3, 2), (2, 3, 1), (2, 3, 1), (2, 3, 2), (2, 3, 1), (2, 1, 1)]
    modules = {}
    for number, (factor, size, stride) in enumerate(plan, start=1):
        outputs = factor * settings["width"]
        modules[f"conv{number}"] = normed(torch, inputs, outputs, size, stride)
        inputs = outputs
    body = chain(list(modules))
    flat = inputs * (-(-height // 4) // 8) * (-(-width // 4) // 8)
    hidden = settings["hidden"]
    head = {"dense1": nn.Linear(flat, hidden), "dense2": nn.Linear(hidden, classes)}
    modules["head"] = made(torch, head, lambda m, x: m.dense2(torch.relu(m.dense1(x))))

    def forward(module, x):
        x = nn.functional.avg_pool2d(body(module, x), 8)
        return module.head(x.flatten(1))

    return made(torch, modules, forward)


def resnet9(torch, settings, shape, classes):
    first, second, third, last = settings["widths"]
    act = torch.nn.CELU(0.075)

    def unit(*sizes):
        return normed(torch, *sizes, bias=True, act=act)

    def residual(width):
        units = {"unit1": unit(width, width), "unit2": unit(width, width)}
        return made(torch, units, lambda m, x: x + m.unit2(m.unit1(x)))

    modules = {
        "conv1": unit(shape[2], first),
        "conv2": unit(first, second, 5, 2),
        "res1": residual(second),
        "conv3": unit(second, third),
        "res2": residual(third),
        "conv4": unit(third, last, 3, 1, 0),
        "fc": torch.nn.Linear(last, classes, bias=False),
    }

    def forward(module, x):
        x = torch.max_pool2d(chain(["conv1", "conv2", "res1", "conv3"])(module, x), 2)
        return module.fc(module.conv4(module.res2(x)).amax((2, 3)))

    return made(torch, modules, forward)


def block(torch, sizes, strides, bias, forward, shortcut_norm):
    """Two 3×3 convolutions, a norm before each, and a projection where the shape changes."""
    inputs, outputs = sizes
    modules = {
        "norm1": torch.nn.BatchNorm2d(inputs),
        "conv1": conv(torch, inputs, outputs, 3, strides[0], bias=bias),
        "norm2": torch.nn.BatchNorm2d(outputs),
        "conv2": conv(torch, outputs, outputs, 3, strides[1], bias=bias),
    }
    stride = strides[0] * strides[1]
    if stride != 1 or inputs != outputs:
        modules["shortcut_conv"] = conv(torch, inputs, outputs, 1, stride, bias=bias)
        if shortcut_norm:
            modules["shortcut_norm"] = torch.nn.BatchNorm2d(outputs)
    return made(torch, modules, forward)


def staged(torch, modules, widths, blocks, make, tail):
    """A stem, stages of blocks, what `tail` adds, the global average, a linear head."""
    inputs = modules.pop("inputs")
    for stage, width in enumerate(widths, start=1):
        for number in range(1, blocks + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            modules[f"stage{stage}_block{number}"] = make((inputs, width), stride)
            inputs = width
    body = chain(list(modules))
    modules |= tail

    def forward(module, x):
        x = body(module, x)
        if hasattr(module, "norm"):
            x = torch.relu(module.norm(x))
        return module.head(x.mean((2, 3)))

    return made(torch, modules, forward)


def cifar_resnet(torch, settings, shape, classes):
    widths = settings["widths"]

    def forward(m, x):
        y = m.norm2(torch.relu(m.conv1(m.norm1(x))))
        y = m.conv2(y)
        return torch.relu(
            y + (m.shortcut_norm(m.shortcut_conv(x)) if hasattr(m, "shortcut_conv") else x)
        )

    def make(sizes, stride):
        return block(torch, sizes, (stride, 1), False, forward, True)

    stem = {"stem": normed(torch, shape[2], widths[0]), "inputs": widths[0]}
    tail = {"head": torch.nn.Linear(widths[-1], classes)}
    return staged(torch, stem, widths, 3, make, tail)


def wide_resnet(torch, settings, shape, classes, corrective=False):
    widths = [16 * settings["widen"] * 2**stage for stage in range(3)]

    def forward(m, x):
        h = torch.relu(m.norm1(x))
        y = m.conv2(torch.relu(m.norm2(m.conv1(h))))
        if hasattr(m, "shortcut_conv"):
            x = m.shortcut_norm(m.shortcut_conv(x)) if corrective else m.shortcut_conv(h)
        return x + y

    def make(sizes, stride):
        strides = (1, stride) if corrective else (stride, 1)
        return block(torch, sizes, strides, corrective, forward, corrective)

    stem = {"stem": conv(torch, shape[2], 16, bias=corrective), "inputs": 16}
    tail = {} if corrective else {"norm": torch.nn.BatchNorm2d(widths[-1])}
    tail["head"] = torch.nn.Linear(widths[-1], classes)
    return staged(torch, stem, widths, (settings["depth"] - 4) // 6, make, tail)


def wide_resnet_corrective(torch, settings, shape, classes):
    return wide_resnet(torch, settings, shape, classes, corrective=True)
