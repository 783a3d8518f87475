"""Problems over sequences: answers are those of slow references; batches depend on seed and number alone."""

import numpy as np
import pytest

from inverse_graphics.errors import DataError
from inverse_graphics.sequences.bits import GATES, Logic, Parity
from inverse_graphics.sequences.numbers import BEYOND, Addition, Sort
from inverse_graphics.sequences.problems import evaluation_batch, training_batch
from inverse_graphics.sequences.sequence_batch import NO_TARGET
from inverse_graphics.sequences.text import Text

PROBLEMS = [Parity(bits=16), Logic(), Addition(), Sort(), Text(length=20)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.kind)
def test_a_batch_has_the_shapes_that_it_says(problem, rng):
    batch = problem.draw(50, rng)
    total = int(batch.lengths.max())
    assert batch.inputs.shape == (total, 50, problem.inputs)
    assert batch.targets.shape == (total, 50, problem.answers)
    assert batch.difficulty.shape == (total, 50)
    assert (np.diff(batch.lengths) <= 0).all()
    assert batch.targets.max() < problem.classes
    assert (batch.inputs[~batch.valid] == 0).all()
    assert (batch.targets[~batch.valid] == NO_TARGET).all()
    assert batch.rows == [int(n) for n in batch.valid.sum(1)]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.kind)
def test_batches_depend_on_seed_and_number_alone_and_evaluation_batches_are_others(problem):
    again = training_batch(problem, 8, 3, 5)
    for name, array in training_batch(problem, 8, 3, 5)._asdict().items():
        assert np.array_equal(array, getattr(again, name))
    for other in (
        training_batch(problem, 8, 3, 6),
        training_batch(problem, 8, 4, 5),
        evaluation_batch(problem, 8, 3),
    ):
        assert not np.array_equal(again.inputs, other.inputs)


def test_parity_counts_the_ones_and_scatters_them(rng):
    batch = Parity(bits=16).draw(4000, rng)
    vectors = batch.inputs[0]
    assert set(np.unique(vectors)) == {-1, 0, 1}
    assert np.array_equal((vectors != 0).sum(1), batch.difficulty[0])
    assert np.array_equal((vectors == 1).sum(1) % 2, batch.targets[0, :, 0])
    counts = np.bincount(batch.difficulty[0], minlength=17)[1:]
    assert (abs(counts - 250) < 5 * 250**0.5).all(), "all numbers alike"
    for number in (1, 8):
        places = (vectors[batch.difficulty[0] == number] != 0).mean(0)
        assert (abs(places - number / 16) < 5 * (0.25 / 200) ** 0.5).all(), "anywhere"


def gate(name, p, q):
    """The ten gates by their definitions."""
    return {
        "nor": not (p or q), "xq": not p and q, "abj": p and not q, "xor": p != q, "nand": not (p and q),
        "and": p and q, "xnor": p == q, "if/then": (not p) or q, "then/if": p or not q, "or": p or q,
    }[name]  # fmt: skip


def test_logic_applies_its_gates_one_after_the_other(rng):
    batch = Logic().draw(60, rng)
    names, seen = list(GATES), set()
    for row in range(60):
        answer = None
        for time in range(batch.lengths[row]):
            vector = batch.inputs[time, row]
            before = bool(vector[0]) if time == 0 else answer
            assert time == 0 or vector[0] == 0
            current = bool(vector[1])
            chunks = vector[2:].reshape(10, 10)
            number = int(chunks.sum())
            assert (chunks[:number].sum(1) == 1).all()
            assert number == batch.difficulty[time, row]
            for chunk in chunks[:number]:
                name = names[chunk.argmax()]
                seen.add(name)
                before, current = current, gate(name, current, before)
            answer = current
            assert batch.targets[time, row, 0] == int(answer)
    assert seen == set(GATES)
    assert set(batch.lengths) == set(range(1, 11))


def test_addition_sums_what_came(rng):
    batch = Addition().draw(200, rng)
    for row in range(200):
        total = 0
        for time in range(batch.lengths[row]):
            chunks = batch.inputs[time, row].reshape(5, 10)
            digits = chunks[: batch.difficulty[time, row]]
            assert (digits.sum(1) == 1).all()
            assert chunks.sum() == len(digits)
            total += int("".join(str(chunk.argmax()) for chunk in digits))
            answer = batch.targets[time, row]
            if time == 0:
                assert (answer == NO_TARGET).all()
            else:
                assert "".join(map(str, answer[answer != BEYOND])) == str(total)
                assert (answer[len(str(total)) :] == BEYOND).all()
    assert set(batch.lengths) == {1, 2, 3, 4, 5}
    assert set(batch.difficulty[batch.valid]) == {1, 2, 3, 4, 5}


def test_sort_asks_for_the_indices_of_rising_numbers_after_the_last(rng):
    batch = Sort().draw(100, rng)
    for row in range(100):
        number = batch.lengths[row] // 2
        values, flags = batch.inputs[:number, row].T
        assert flags.tolist() == [0] * (number - 1) + [1]
        assert (batch.inputs[number:, row] == 0).all()
        assert (batch.targets[:number, row] == NO_TARGET).all()
        indices = batch.targets[number : 2 * number, row, 0]
        assert np.array_equal(values[indices], np.sort(values))
        assert (batch.difficulty[:, row] == number).all()
    assert set(batch.lengths // 2) == set(range(2, 16))


def test_text_asks_for_the_next_byte_and_holds_the_end_out(tmp_path, rng):
    file = tmp_path / "text.txt"
    file.write_bytes(bytes(range(200)))
    problem = Text(file=file, length=10)
    for batch, low, high in ((problem.draw(300, rng), 0, 180), (problem.draw_test(300, rng), 180, 200)):
        shown = batch.inputs.argmax(-1)
        assert np.array_equal(batch.targets[..., 0], shown + 1)
        assert low <= shown.min()
        assert batch.targets.max() < high
    with pytest.raises(DataError, match="expected 510 or more"):
        Text(file=file, length=50).draw(1, rng)
    with pytest.raises(DataError, match="cannot read"):
        Text(file=tmp_path / "none.txt").draw(1, rng)


@pytest.mark.parametrize("problem", PROBLEMS[:-1], ids=lambda problem: problem.kind)
def test_a_curriculum_goes_from_the_easiest_inputs_to_all_of_them(problem):
    easiest, most = {"parity": (1, 16), "logic": (1, 10), "addition": (1, 5), "sort": (2, 15)}[problem.kind]
    numbers = most - easiest + 1
    for index in range(20):
        batch = training_batch(problem, 200, 0, index, curriculum_steps=20)
        hardest = easiest - 1 + int(np.ceil(numbers * (index + 1) / 20))
        assert batch.difficulty[batch.valid].min() == easiest
        assert batch.difficulty[batch.valid].max() == hardest
    later, at_once = training_batch(problem, 8, 0, 20, curriculum_steps=20), training_batch(problem, 8, 0, 20)
    assert np.array_equal(later.inputs, at_once.inputs)
    evaluation = evaluation_batch(problem, 200, 0)
    assert evaluation.difficulty[evaluation.valid].max() == most
