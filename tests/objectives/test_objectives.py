"""Laws that every entry of the table of embedding objectives obeys."""

import pytest
import torch

from maskspace.heads import Queries
from maskspace.objectives import OBJECTIVES
from maskspace.partition import DECODERS
from maskspace.targets import UNLABELLED, Targets

NAMES = sorted(OBJECTIVES)
SIZE_HW = (16, 12)


def outputs_of(objective, generator, batch=2, dtype=torch.float32):
    """Return random outputs of the objective's heads, as a network would emit them."""
    outputs = {}
    for name, head in objective.heads.items():
        if isinstance(head, Queries):
            shape = (batch, head.number, head.channels)
            outputs[name] = torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()
            continue
        size_hw = tuple(-(-side // head.stride) for side in SIZE_HW)
        x = torch.randn((batch, head.channels, *size_hw), generator=generator, dtype=dtype)
        x = {
            "none": lambda x: x,
            "sigmoid": torch.sigmoid,
            "tanh": torch.tanh,
            "unit": lambda x: torch.nn.functional.normalize(x, dim=1),
        }[head.activation](x) * head.scale
        if head.position != "none":
            rows, columns = (
                (torch.arange(length, dtype=dtype) + 0.5) * head.stride / head.unit
                for length in size_hw
            )
            place = torch.stack(torch.meshgrid(columns, rows, indexing="xy")).expand(
                batch, -1, -1, -1
            )
            added = torch.cat([x[:, :2] + place, x[:, 2:]], 1)
            x = added if head.position == "add" else torch.cat([x, place], 1)
        outputs[name] = x.detach().requires_grad_()
    return outputs


def total(objective, outputs, labels):
    torch.manual_seed(0)  # objectives that sample
    return torch.stack(list(objective.terms(outputs, Targets.of_labels(labels)).values())).sum()


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def labels():
    """Three rectangles an image on a background, a strip of which is unlabelled."""
    labels = torch.zeros(2, *SIZE_HW, dtype=torch.long)
    labels[:, :8, :6] = 1
    labels[:, 8:14, :4] = 2
    labels[:, 2:12, 8:] = 3
    labels[:, 15] = UNLABELLED
    return labels


@pytest.mark.parametrize("name", NAMES)
def test_terms_are_finite_scalars_and_gradients_reach_every_output(name, generator, labels):
    objective = OBJECTIVES[name]()
    outputs = outputs_of(objective, generator)
    torch.manual_seed(0)
    terms = objective.terms(outputs, Targets.of_labels(labels))
    assert all(value.shape == () and value.isfinite() for value in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    for head, output in outputs.items():
        assert output.grad is not None, head
        assert output.grad.isfinite().all(), head
        assert output.grad.abs().max() > 0, head


@pytest.mark.parametrize("name", NAMES)
def test_names_of_labels_do_not_matter(name, generator, labels):
    objective = OBJECTIVES[name]()
    outputs = outputs_of(objective, generator)
    renamed = torch.tensor([0, 40, 70, 1000, UNLABELLED])[labels]
    torch.testing.assert_close(
        total(objective, outputs, labels), total(objective, outputs, renamed)
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "case", ["constant", "one instance", "no instance", "one pixel", "nothing known"]
)
def test_degenerate_input_gives_finite_values_and_gradients(name, case, generator, labels):
    objective = OBJECTIVES[name]()
    outputs = outputs_of(objective, generator)
    if case == "constant":
        outputs = {
            head: output.detach()[:, :, :1, :1].expand_as(output).clone().requires_grad_()
            if output.ndim == 4
            else output.detach()[:, :1].expand_as(output).clone().requires_grad_()
            for head, output in outputs.items()
        }
    elif case == "one instance":
        labels = torch.full_like(labels, 7)
    elif case == "one pixel":
        labels = torch.zeros_like(labels)
        labels[0, 0, 0] = 1
    else:
        labels = torch.full_like(labels, 0 if case == "no instance" else UNLABELLED)
    value = total(objective, outputs, labels)
    value.backward()
    assert value.isfinite()
    for head, output in outputs.items():
        assert output.grad is None or output.grad.isfinite().all(), head


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_summed_in_float32(name, generator, labels):
    objective = OBJECTIVES[name]()
    outputs = outputs_of(objective, generator)
    rough = {head: output.detach().bfloat16() for head, output in outputs.items()}
    wide = {head: output.float() for head, output in rough.items()}
    torch.testing.assert_close(total(objective, rough, labels), total(objective, wide, labels))


@pytest.mark.parametrize("name", NAMES)
def test_the_decoder_reads_what_the_network_emits(name, generator):
    objective = OBJECTIVES[name]()
    outputs = outputs_of(objective, generator, batch=1)
    decode = DECODERS[objective.decoder.name]
    found = decode({h: x.detach()[0] for h, x in outputs.items()}, **objective.decoder.options)
    assert len(found.scores) == found.labels.max(initial=0)
    assert found.labels.min(initial=0) >= 0


@pytest.mark.parametrize("name", NAMES)
def test_an_option_it_does_not_have_is_told(name):
    with pytest.raises(TypeError, match="colour"):
        OBJECTIVES[name](colour=1)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_on_the_gpu_are_those_on_the_cpu(name, generator, labels):
    objective = OBJECTIVES[name]()
    outputs = outputs_of(objective, generator)
    found = []
    for device in ("cpu", "cuda"):
        moved = {h: x.detach().to(device).requires_grad_() for h, x in outputs.items()}
        torch.manual_seed(0)
        terms = objective.terms(moved, Targets.of_labels(labels.to(device)))
        torch.stack(list(terms.values())).sum().backward()
        found.append([x.grad.cpu() for x in moved.values()])
    torch.testing.assert_close(*found)
