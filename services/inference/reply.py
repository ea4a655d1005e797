"""A reply as far as it has come: its tokens, the text that they released, and why it ended."""

from collections.abc import Collection, Iterable

from services.inference.detokenizer import Detokenizer, Vocabulary
from services.inference.draw import TokenMask
from services.inference.engine import Delta, FinishReason, Parameters
from services.inference.grammar import Grammar


class Reply:
    """A left fold over tokens, so that replaying a part of them gives the state in which that part was left."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        end_ids: Collection[int],
        parameters: Parameters,
        grammar: Grammar | None = None,
    ) -> None:
        """`end_ids` are the tokens by which the model ends its turn; `grammar` is what the text keeps to."""
        self._vocabulary, self._end_ids, self._limit = vocabulary, end_ids, parameters.max_output_tokens
        self._text = Detokenizer(parameters.stop)
        self._matcher = grammar.begin() if grammar else None
        self.tokens: list[int] = []
        self.text_bytes = 0
        """Released so far."""
        self.finish_reason: FinishReason | None = None

    def extend(self, tokens: Iterable[int]) -> Delta:
        """Takes tokens, up to and with the one that ends the reply, and returns those and what they released."""
        token_offset, text_offset, texts = len(self.tokens), self.text_bytes, []
        for token in tokens:
            if self.finish_reason:
                break
            texts.append(self._push(token))
        text = "".join(texts)
        self.text_bytes += len(text.encode())
        return Delta(token_offset, tuple(self.tokens[token_offset:]), text_offset, text)

    @property
    def strayed(self) -> bool:
        """It does not follow its grammar, or cannot be followed by it any more."""
        return self._matcher is not None and self._matcher.failed

    def mask(self) -> TokenMask | None:
        """The tokens that may come next; none if it strayed. None: all."""
        return self._matcher.mask() if self._matcher else None

    def _push(self, token: int) -> str:
        self.tokens.append(token)
        if self._matcher:
            self._matcher.push(token)
        text = self._text.push(self._vocabulary[token])
        if self._text.stopped or token in self._end_ids:
            self.finish_reason = FinishReason.STOP
        elif len(self.tokens) == self._limit:
            self.finish_reason = FinishReason.LENGTH
        return text + self._text.flush() if self.finish_reason else text
