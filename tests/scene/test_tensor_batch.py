"""Laws of batches of tensors, on random ones with batches inside them."""

from dataclasses import FrozenInstanceError, dataclass

import pytest
import torch
from torch import Tensor

from inverse_graphics.scene.batch import depth_order, take_slots
from inverse_graphics.scene.tensor_batch import TensorBatch


@dataclass(frozen=True)
class Cameras(TensorBatch):
    K: Tensor
    height: int


@dataclass(frozen=True)
class Elements(TensorBatch):
    kind: Tensor
    place: Tensor
    cameras: Cameras
    note: Tensor | None = None


def batch(count: int, seed: int = 0, height: int = 7) -> Elements:
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(-1, 5, (count, 3), generator=generator)
    place, K = torch.randn(count, 3, 2, generator=generator), torch.randn(count, 3, 3, generator=generator)
    return Elements(kind, place, Cameras(K, height))


def tensors(elements: Elements) -> list[Tensor]:
    return [elements.kind, elements.place, elements.cameras.K]


def same(one: Elements, other: Elements) -> bool:
    assert (one.cameras.height, one.note) == (other.cameras.height, other.note)
    return all(torch.equal(*pair) for pair in zip(tensors(one), tensors(other), strict=True))


@pytest.mark.parametrize("counts", [(4,), (3, 5), (0, 2, 1)])
def test_slices_of_what_was_joined_are_the_parts(counts):
    parts = [batch(count, seed) for seed, count in enumerate(counts)]
    whole, first = Elements.cat(parts), 0
    assert len(whole) == sum(counts)
    for part, count in zip(parts, counts, strict=True):
        assert same(whole[first : first + count], part)
        first += count


@pytest.mark.parametrize("size", [1, 4, 5, 11, 12])
def test_parts_of_a_split_join_to_the_whole(size):
    elements = batch(11)
    parts = list(elements.split(size))
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert 0 < len(parts[-1]) <= size
    assert same(Elements.cat(parts), elements)


def test_a_mask_and_the_indices_of_its_true_elements_choose_the_same():
    elements, mask = batch(9), torch.tensor([1, 0, 0, 1, 1, 0, 1, 0, 1]).bool()
    chosen = elements[mask]
    assert same(chosen, elements[mask.nonzero()[:, 0]])
    for part, own in zip(tensors(chosen), tensors(elements), strict=True):
        assert torch.equal(part, own[mask])


def test_where_agrees_with_indexing():
    elements, others = batch(8, 1), batch(8, 2)
    mask = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1]).bool()
    chosen = elements.where(mask, others)
    assert same(chosen[mask], elements[mask])
    assert same(chosen[~mask], others[~mask])
    assert not same(chosen, elements)


def test_index_copy_changes_the_elements_named_and_no_others():
    elements, index = batch(6), torch.tensor([4, 1])
    changed = elements.index_copy(index, batch(2, 5))
    assert same(changed[index], batch(2, 5))
    untouched = torch.tensor([0, 2, 3, 5])
    assert same(changed[untouched], elements[untouched])
    assert same(elements, batch(6))  # and what was given is not written to


def test_a_repeated_batch_is_itself_one_after_the_other_and_several_dimensions_are_indexed_at_once():
    elements = batch(4)
    many = elements.repeat(3)
    assert same(many, Elements.cat([elements, elements, elements]))
    distinct = Elements.cat([batch(4, seed) for seed in range(3)])
    of_each, rows = torch.tensor([2, 0, 1, 2]), torch.arange(4)
    assert same(distinct.reshape(-1, 4)[of_each, rows], distinct[of_each * 4 + rows])


def test_moving_converts_what_is_real_valued_and_keeps_whole_numbers():
    moved = batch(3).to("cpu", torch.float64)
    assert (moved.kind.dtype, moved.place.dtype, moved.cameras.K.dtype) == (
        torch.int64,
        torch.float64,
        torch.float64,
    )
    assert (moved.cameras.height, moved.note) == (7, None)
    assert moved.to("cpu").place.dtype == torch.float64  # none given, none changed
    assert same(moved.to("cpu", torch.float32), batch(3))
    assert batch(3).to("meta").cameras.K.device.type == "meta"


def test_a_function_reaches_every_tensor_and_gradients_flow_through():
    elements = batch(3).map(lambda part: part.double().requires_grad_())
    total = Elements.cat([elements, elements])[torch.tensor([0, 3])]
    (total.place.sum() + total.cameras.K.sum()).backward()
    assert elements.place.grad is not None
    assert torch.equal(elements.place.grad, torch.zeros(3, 3, 2).index_fill(0, torch.tensor([0]), 2.0))
    assert not any(part.requires_grad for part in tensors(elements.map(Tensor.detach)))


def test_fields_are_replaced_by_name_and_unknown_ones_are_an_error():
    elements = batch(3)
    other = elements.replace(kind=elements.kind + 1)
    assert torch.equal(other.kind, elements.kind + 1)
    assert other.place is elements.place
    with pytest.raises(TypeError, match="colour"):
        elements.replace(colour=elements.place)
    with pytest.raises(FrozenInstanceError):
        elements.kind = other.kind  # type: ignore[misc]
    assert list(vars(other)) == ["kind", "place", "cameras", "note"]  # in the order of the constructor


def test_what_makes_no_sense_is_refused():
    with pytest.raises(TypeError, match=r"index 2 leaves no batch dimension: expected batch\[2:3\]"):
        batch(3)[2]  # type: ignore[index]
    with pytest.raises(TypeError, match="batch dimension"):
        list(batch(3))  # type: ignore[call-overload] # a batch is not a tuple of its fields
    with pytest.raises(ValueError, match="'height' differs: expected one value for all batches"):
        Elements.cat([batch(2), batch(2, height=8)])
    with pytest.raises(ValueError, match=r"'note' differs: .* or a tensor in each"):
        Elements.cat([batch(2), batch(2).replace(note=torch.zeros(2))])
    with pytest.raises(ValueError, match="at least one"):
        Elements.cat([])


def test_slots_are_ordered_by_depth_and_empty_ones_come_last():
    asset = torch.tensor([[1, -1, 2, 3], [-1, 4, -1, 5]])
    depth = torch.tensor([[3.0, 0.0, 1.0, 3.0], [9.0, 2.0, 0.5, 2.0]])
    order = depth_order(asset, depth)
    assert take_slots(asset, order).tolist() == [[2, 1, 3, -1], [4, 5, -1, -1]]  # equal ones as they were
    place = torch.arange(16.0).reshape(2, 4, 2)
    assert torch.equal(take_slots(place, order), torch.stack([place[0, order[0]], place[1, order[1]]]))
