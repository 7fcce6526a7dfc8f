"""The networks that load weights, written in PyTorch under the names of torchvision and Hugging Face, in small.

`torch` is an argument, so that the module can be imported where PyTorch is not installed.
"""


def vgg(torch, counts, settings, batch_norm, classes):
    """torchvision's modules under torchvision's names; `fc` is the linear layer that JiT adds."""
    nn = torch.nn
    layers, channels = [], 3
    for count, factor in zip(counts, (1, 2, 4, 8, 8), strict=True):
        for _ in range(count):
            features = factor * settings["width"]
            layers.append(nn.Conv2d(channels, features, 3, padding=1))
            layers += [nn.BatchNorm2d(features)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            channels = features
        layers.append(nn.MaxPool2d(2, 2))
    hidden, embedding = settings["hidden"], settings.get("embedding", classes)

    class Vgg(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(*layers)
            self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
            self.classifier = nn.Sequential(
                *(nn.Linear(channels * 49, hidden), nn.ReLU(True), nn.Dropout()),
                *(nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout()),
                nn.Linear(hidden, embedding),
            )
            if "embedding" in settings:
                self.fc = nn.Linear(embedding, classes)

        def forward(self, x):
            x = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
            return self.fc(x) if "embedding" in settings else x

    return Vgg()


def resnet(torch, imagenet, classes, bottleneck=False):
    """torchvision's names, a block in each of two stages, 4 and 8 channels; four times as many behind a bottleneck."""
    nn = torch.nn
    factor = 4 if bottleneck else 1

    class Block(nn.Module):
        def __init__(self, inputs, features, stride):
            super().__init__()
            # Kernel size, stride and channels of the convolutions beside the shortcut.
            convolutions = (
                ((1, 1, features), (3, stride, features), (1, 1, 4 * features))
                if bottleneck
                else ((3, stride, features), (3, 1, features))
            )
            channels = inputs
            for number, (size, step, width) in enumerate(convolutions, start=1):
                conv = nn.Conv2d(channels, width, size, step, size // 2, bias=False)
                setattr(self, f"conv{number}", conv)
                setattr(self, f"bn{number}", nn.BatchNorm2d(width))
                channels = width
            self.count = len(convolutions)
            if stride != 1 or inputs != channels:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
                )

        def forward(self, x):
            y = x
            for number in range(1, self.count + 1):
                y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
                y = torch.relu(y) if number < self.count else y
            return torch.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 4, *((7, 2, 3) if imagenet else (3, 1, 1)), bias=False)
            self.bn1 = nn.BatchNorm2d(4)
            self.layer1 = nn.Sequential(Block(4, 4, 1))
            self.layer2 = nn.Sequential(Block(4 * factor, 8, 2))
            self.fc = nn.Linear(8 * factor, classes)

        def forward(self, x):
            x = torch.relu(self.bn1(self.conv1(x)))
            x = torch.max_pool2d(x, 3, 2, 1) if imagenet else x
            return self.fc(self.layer2(self.layer1(x)).mean((2, 3)))

    return Net()


def vit(torch, settings, shape, classes, pooler=True):
    """Hugging Face's names for an image classifier, with the pooler of its bare network or without."""
    nn = torch.nn
    patch, width, heads = settings["patch"], settings["width"], settings["heads"]

    def group(**modules):
        made = nn.Module()
        for name, module in modules.items():
            setattr(made, name, module)
        return made

    def norm():
        return nn.LayerNorm(width, eps=1e-12)

    def block():
        attention = group(**{n: nn.Linear(width, width) for n in ("query", "key", "value")})
        return group(
            attention=group(attention=attention, output=group(dense=nn.Linear(width, width))),
            intermediate=group(dense=nn.Linear(width, settings["mlp"])),
            output=group(dense=nn.Linear(settings["mlp"], width)),
            layernorm_before=norm(),
            layernorm_after=norm(),
        )

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            tokens = 1 + shape[0] * shape[1] // patch**2
            self.vit = group(
                embeddings=group(
                    cls_token=nn.Parameter(torch.randn(1, 1, width)),
                    position_embeddings=nn.Parameter(torch.randn(1, tokens, width)),
                    patch_embeddings=group(projection=nn.Conv2d(3, width, patch, patch)),
                ),
                encoder=group(layer=nn.ModuleList([block() for _ in range(settings["depth"])])),
                layernorm=norm(),
                **({"pooler": group(dense=nn.Linear(width, width))} if pooler else {}),
            )
            self.classifier = nn.Linear(width, classes)

        def forward(self, x):
            embeddings = self.vit.embeddings
            patches = embeddings.patch_embeddings.projection(x).flatten(2).transpose(1, 2)
            token = embeddings.cls_token.expand(len(x), -1, -1)
            x = torch.cat([token, patches], 1) + embeddings.position_embeddings
            for layer in self.vit.encoder.layer:
                y, inner = layer.layernorm_before(x), layer.attention.attention
                query, key, value = (
                    getattr(inner, name)(y).unflatten(2, (heads, -1)).transpose(1, 2)
                    for name in ("query", "key", "value")
                )
                mixed = nn.functional.scaled_dot_product_attention(query, key, value)
                x = x + layer.attention.output.dense(mixed.transpose(1, 2).flatten(2))
                y = nn.functional.gelu(layer.intermediate.dense(layer.layernorm_after(x)))
                x = x + layer.output.dense(y)
            return self.classifier(self.vit.layernorm(x)[:, 0])

    return Net()
