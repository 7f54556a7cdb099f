"""`triptych` whose model has vectors: those of the words of the cues, in the small space of the tests.

python -m tests.e2e.word_worker work [options of `triptych work`]
"""

from __future__ import annotations

from tests.worker.matching.prompt_texts import WordSpace
from tests.worker.test_prompts import WORD_SPEC, WordModel
from triptych.cli import main
from triptych.worker import wiring
from triptych.worker.matching import open_prompts

if __name__ == "__main__":
    wiring.build_model = lambda _choice: WordModel(WORD_SPEC)
    open_prompts.build_text_space = lambda *_: WordSpace()
    main()
