# SPDX-License-Identifier: Apache-2.0
"""Words that eSpeak NG speaks, `python -m train.study.datasets.speakers FOLDER`.

This is a process of its own because the library keeps a state from word to word: always from the
same start, in the same order, it gives the same samples.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
         "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
ACCENTS = ("en", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp",
           "en-us", "en-us-nyc")
SPEAKERS = 96  # a twelfth of each accent; the last 36 are held out
RENDITIONS = 2  # how often a speaker says each word
SAMPLE_RATE = 22_050  # Hz, the library's
SYNCHRONOUS = 2  # audio goes to the callback, and the call returns behind the last of it
SPEED, PITCH = 1, 3  # numbers of parameters
UTF8 = 1


def voice(speaker: int) -> str:
    """The file of a voice: pitch in Hz; of each formant frequency, height and width in percent of
    the accent's own; flutter, roughness and breath."""
    rng = np.random.default_rng(speaker)
    low = int(rng.integers(70, 190))
    tract = rng.uniform(90, 118) if low > 120 else rng.uniform(84, 106)  # of women, of men
    lines = ["language variant", f"name speaker{speaker}",
             f"pitch {low} {int(low * rng.uniform(1.2, 1.7))}",
             f"flutter {rng.integers(0, 8)}", f"roughness {rng.integers(0, 5)}",
             f"breath {' '.join(str(part) for part in rng.integers(0, 12, 5))}"]
    for formant in range(9):
        lines.append(f"formant {formant} {int(tract * rng.uniform(0.95, 1.05))} "
                     f"{rng.integers(70, 121)} {rng.integers(80, 161)}")
    return "\n".join(lines) + "\n"


def speak(folder: Path, speakers: range) -> list[np.ndarray]:
    """Samples, int16, of every word of these speakers: by speaker, word and rendition.

    `folder` holds the library and its `espeak-ng-data`, to which the voices are added. RuntimeError
    where the library refuses.
    """
    data = folder / "espeak-ng-data"
    (data / "voices" / "!v").mkdir(parents=True, exist_ok=True)
    library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
    heard: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def hear(samples, count, _events):
        if samples and count:
            heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def demand(good: bool, what: str) -> None:
        if not good:
            raise RuntimeError(f"eSpeak NG refuses {what}")

    rate = library.espeak_Initialize(SYNCHRONOUS, 0, str(data).encode(), 0)
    demand(rate == SAMPLE_RATE, f"to start with {data}")
    library.espeak_SetSynthCallback(hear)
    spoken = []
    for speaker in speakers:
        (data / "voices" / "!v" / f"speaker{speaker}").write_text(voice(speaker))
        name = f"{ACCENTS[speaker % len(ACCENTS)]}+speaker{speaker}"
        demand(library.espeak_SetVoiceByName(name.encode()) == 0, f"the voice {name}")
        rng = np.random.default_rng([speaker, 1])
        for word in WORDS:
            for _ in range(RENDITIONS):
                library.espeak_SetParameter(SPEED, int(rng.integers(120, 200)), 0)
                library.espeak_SetParameter(PITCH, int(rng.integers(30, 71)), 0)
                text = word.encode() + b"\0"
                library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # otherwise the clock's
                heard.clear()
                failed = library.espeak_Synth(text, len(text), 0, 1, 0, UTF8, None, None)
                demand(not failed and bool(heard), f"to say {word!r}")
                spoken.append(np.concatenate(heard))
    return spoken


def main() -> int:
    folder = Path(sys.argv[1])
    spoken = speak(folder, range(SPEAKERS))
    np.savez(folder / "spoken.npz", samples=np.concatenate(spoken),
             lengths=[len(samples) for samples in spoken])
    return 0


if __name__ == "__main__":
    sys.exit(main())
