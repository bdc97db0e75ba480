"""The language model: a voice's latents and a text in, codes out, and a latent for each of them.

B rows, T new positions, C channels, N latents of a voice, V codes. It is GPT-2 as transformers has
it, without position embeddings of its own, and with a second norm at its end.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.coqui.xtts.config import CODE, TEXT, VOICE, ModelArgs
from engines.nn.kv_cache import KvCache, last

MORE_TEXT, MORE_CODES = 2, 3  # places beside those that the configuration counts


class Gpt(nn.Module):
    """
    Args:
        texts: size of the text vocabulary.
    """

    def __init__(self, args: ModelArgs, texts: int) -> None:
        super().__init__()
        width, codes = args.gpt_n_model_channels, args.gpt_num_audio_tokens
        self.text_embedding = nn.Embedding(texts, width)
        self.text_positions = nn.Embedding(args.gpt_max_text_tokens + MORE_TEXT, width)
        self.code_embedding = nn.Embedding(codes, width)
        self.code_positions = nn.Embedding(args.gpt_max_audio_tokens + MORE_CODES, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(args.gpt_layers))
        self.last_norm = nn.LayerNorm(width)
        self.final_norm = nn.LayerNorm(width)
        self.code_head = nn.Linear(width, codes)

    def forward(
        self,
        kinds: Tensor,
        ids: Tensor,
        places: Tensor,
        voice: Tensor,
        positions: Tensor,
        lengths: Tensor,
        *carry: Tensor,
    ) -> tuple[Tensor, ...]:
        """
        Args:
            kinds: int64 [B, T]: what each position holds, of VOICE, TEXT and CODE.
            ids: int64 [B, T]: which text piece or code; of a voice, which of its latents.
            places: int64 [B, T]: the how-manieth of its kind it is.
            voice: [B, N, C].
            positions: int64 [B]: positions of each row in the carry.
            lengths: int64 [B]: new positions that are true.
            carry: keys and values of each block.

        Returns:
            Logits of the code that follows [B, V], its latent [B, C], and the carry.
        """
        x = self._embed(kinds, ids, places, voice)
        cache = KvCache(carry, positions, lengths, x.shape[1])
        for number, block in enumerate(self.blocks):
            x = block(x, cache, number)
        latent = self.final_norm(self.last_norm(last(x, lengths)))
        return self.code_head(latent), latent, *cache.tensors

    def _embed(self, kinds: Tensor, ids: Tensor, places: Tensor, voice: Tensor) -> Tensor:
        """[B, T, C]. Every table is asked for every position, within its bounds, and one is heard:
        which one differs from row to row."""

        def of(kind: int, table: nn.Embedding, which: Tensor) -> Tensor:
            return table(torch.where(kinds == kind, which, 0))

        text = of(TEXT, self.text_embedding, ids) + of(TEXT, self.text_positions, places)
        code = of(CODE, self.code_embedding, ids) + of(CODE, self.code_positions, places)
        which = torch.where(kinds == VOICE, ids, 0)[..., None].expand(-1, -1, voice.shape[2])
        written = torch.where((kinds == TEXT)[..., None], text, code)
        return torch.where((kinds == VOICE)[..., None], voice.gather(1, which), written)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, cache: KvCache, number: int) -> Tensor:
        """[B, T, C] → the same."""
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        x = x + self.out(cache.attend(number, q, k, v))
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))
