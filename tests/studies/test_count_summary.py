"""Tables of counting: means over all seeds, and times by looking through the history."""

from inverse_graphics.studies.counting_tables import counting_rows, seconds_to, summarise_counting


def record(variant, seed, accuracies, finished=True):
    """A run that was judged every 10 seconds."""
    history = [
        {"step": 5 * k, "seconds": 10.0 * k, "held_out": {"count_accuracy": share}}
        for k, share in enumerate(accuracies, start=1)
    ]
    evaluation = {
        "count_accuracy": accuracies[-1],
        "count_accuracy_by_count": {"0": 1.0, "10": 0.25, "2": accuracies[-1]},
        "calibration_error": 0.01,
        "elbo": 10.0 + seed,
        "iwae": 11.0 + seed,
    }
    return {
        "variant": variant,
        "seed": seed,
        "seconds": 10.0 * len(accuracies),
        "images_per_second": 100.0,
        "evaluation": evaluation if finished else None,
        "history": history,
    }


def test_no_seed_is_left_out():
    records = [
        record("a", 0, [0.5, 0.985, 0.99]),
        record("a", 1, [0.3, 0.4, 0.31]),
        record("a", 2, [0.98, 0.97, 0.999]),
        record("b", 0, [0.1], finished=False),
    ]
    first, second = counting_rows(records)
    assert first.seeds == "3 of 3"
    assert first.count_accuracy == (0.99 + 0.31 + 0.999) / 3
    assert (first.worst, first.elbo, first.iwae, first.minutes) == (0.31, 11.0, 12.0, 0.5)
    assert first.seconds_to_98 == 20.0, "the median of 10, 20 and never"
    assert (second.seeds, second.count_accuracy, second.seconds_to_98) == ("0 of 1", None, None)


def test_time_to_an_accuracy_is_of_the_first_evaluation_that_has_it():
    one = record("a", 0, [0.5, 0.98, 0.4, 0.995])
    assert seconds_to(one, 0.98) == 20.0
    assert seconds_to(one, 0.995) == 40.0
    assert seconds_to(one, 0.999) is None


def test_half_of_the_seeds_or_more_without_it_have_no_median():
    rows = counting_rows([record("a", 0, [0.99]), record("a", 1, [0.5]), record("a", 2, [0.5])])
    assert rows[0].seconds_to_98 is None


def test_tables_name_runs_and_true_counts_in_order():
    records = [record("a", 0, [0.5]), record("a", 1, [0.3], finished=False)]
    text = summarise_counting(records, counting_rows(records), "the command")
    assert text.startswith("`the command`\n")
    assert "| a | 1 of 2 | 50.00 % | 50.00 % | 10.0 | 11.0 |" in text
    assert "| variant | seed | correct counts | of 0 | of 2 | of 10 | calibration error |" in text
    assert "| a | 0 | 50.00 % | 100.00 % | 50.00 % | 25.00 % | 1.00 % |" in text
