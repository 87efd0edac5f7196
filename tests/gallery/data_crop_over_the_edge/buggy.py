"""Cloud masks from aerial pictures, trained on random crops."""
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset


class AerialCrops(Dataset):
    def __init__(self, n_images: int, image_size: int = 48, crop: int = 24, crops_per_image: int = 6):
        coarse = torch.randn(n_images, 1, 6, 6)
        smooth = F.interpolate(coarse, size=(image_size, image_size), mode="bicubic", align_corners=False)
        self.masks = (smooth > 0.4).float()
        self.images = self.masks * 0.7 + 0.4 * torch.randn(n_images, 3, image_size, image_size)
        self.crop = crop
        self.crops_per_image = crops_per_image

    def __len__(self):
        return len(self.images) * self.crops_per_image

    def random_corner(self) -> tuple[int, int]:
        height, width = self.images.shape[-2:]
        top = int(torch.randint(0, height - self.crop + 1, ()))
        left = int(torch.randint(0, width, ()))
        return top, left

    def __getitem__(self, index):
        which = index // self.crops_per_image
        top, left = self.random_corner()
        box = (..., slice(top, top + self.crop), slice(left, left + self.crop))
        return {"image": self.images[which][box], "mask": self.masks[which][box]}


class Segmenter(nn.Module):
    def __init__(self, width: int = 12):
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1), nn.ReLU(),
        )
        self.decode = nn.Conv2d(2 * width, 1, 3, padding=1)
        self.skip = nn.Conv2d(3, width, 1)

    def forward(self, image):
        deep = F.interpolate(self.encode(image), scale_factor=2)
        return self.decode(torch.cat([deep, self.skip(image)], dim=1))


def main():
    torch.manual_seed(77)
    dataset = AerialCrops(40)
    loader = DataLoader(dataset, batch_size=16, shuffle=True, num_workers=2)
    model = Segmenter()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(3):
        model.train()
        losses = []
        for batch in loader:
            logits = model(batch["image"])
            loss = F.binary_cross_entropy_with_logits(logits, batch["mask"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch}: {sum(losses) / len(losses):.4f}")


if __name__ == "__main__":
    main()
