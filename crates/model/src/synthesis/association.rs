//! Measures the dependence between each pair of columns.

use super::Coded;

/// The greatest number of rows on which the dependence between columns is measured.
const ASSOCIATION_ROWS: usize = 1000;

/// Returns the dependence between each pair of columns: the absolute correlation of their ranks, or Cramér's V if one of them is
/// categorical.
pub(super) fn strengths(columns: &[Coded], ordered: &[Vec<u8>]) -> Vec<Vec<f64>> {
    let rows = ordered[0].len();
    let step = rows.div_ceil(ASSOCIATION_ROWS).max(1);
    let some: Vec<Vec<u8>> =
        ordered.iter().map(|codes| codes.iter().copied().step_by(step).collect()).collect();
    let centred: Vec<Vec<f64>> = some
        .iter()
        .map(|codes| {
            let mean = codes.iter().map(|&code| f64::from(code)).sum::<f64>() / codes.len() as f64;
            let values: Vec<f64> = codes.iter().map(|&code| f64::from(code) - mean).collect();
            let length = crate::design::dot(&values, &values).sqrt();
            let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
            values.into_iter().map(|value| value * scale).collect()
        })
        .collect();
    let mut strengths = vec![vec![0.0; columns.len()]; columns.len()];
    for a in 0..columns.len() {
        for b in 0..a {
            let strength = if columns[a].categorical || columns[b].categorical {
                cramers_v(&some[a], &some[b])
            } else {
                crate::design::dot(&centred[a], &centred[b]).abs()
            };
            strengths[a][b] = strength;
            strengths[b][a] = strength;
        }
    }
    strengths
}

/// Returns Cramér's V of two columns, whose codes are grouped into at most 16 ranges (H. Cramér, "Mathematical Methods of
/// Statistics", 1946).
fn cramers_v(a: &[u8], b: &[u8]) -> f64 {
    const CELLS: usize = 16;
    let group = |codes: &[u8]| -> Vec<usize> {
        let greatest = codes.iter().copied().max().map_or(1, |code| usize::from(code) + 1);
        codes.iter().map(|&code| usize::from(code) * CELLS.min(greatest) / greatest).collect()
    };
    let (a, b) = (group(a), group(b));
    let mut table = [[0.0; CELLS]; CELLS];
    a.iter().zip(&b).for_each(|(&a, &b)| table[a][b] += 1.0);
    let lines: Vec<f64> = table.iter().map(|line| line.iter().sum()).collect();
    let columns: Vec<f64> = (0..CELLS).map(|at| table.iter().map(|line| line[at]).sum()).collect();
    let all: f64 = lines.iter().sum();
    let mut chi2 = 0.0;
    for (line, &in_line) in table.iter().zip(&lines) {
        for (&cell, &in_column) in line.iter().zip(&columns) {
            let expected = in_line * in_column / all;
            if expected > 0.0 {
                chi2 += (cell - expected) * (cell - expected) / expected;
            }
        }
    }
    let filled = |sums: &[f64]| sums.iter().filter(|&&sum| sum > 0.0).count();
    let smaller = filled(&lines).min(filled(&columns));
    if smaller < 2 { 0.0 } else { (chi2 / all / (smaller - 1) as f64).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::coded, *};

    #[test]
    fn cramers_v_agrees_with_scipy() {
        // scipy.stats.contingency: association(crosstab(a, b)[1], method="cramer")
        let a = [0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 1, 2];
        let b = [0, 1, 1, 1, 2, 3, 3, 0, 3, 0, 1, 2];
        assert!((cramers_v(&a, &b) - 0.7006941003192636).abs() < 1e-12);
        assert_eq!((cramers_v(&a, &[5; 12]), cramers_v(&[5; 12], &a)), (0.0, 0.0));
        // With 32 codes, each range has two codes, so the result is that of c // 2 and d // 2.
        let mut c: Vec<u8> = (0..64).map(|i| ((i * i * 7 + 3 * i) % 32) as u8).collect();
        let mut d: Vec<u8> = (0..64).map(|i| ((i * 11 + i / 5) % 32) as u8).collect();
        (c[0], d[1]) = (31, 31);
        assert!((cramers_v(&c, &d) - 0.4538416268063368).abs() < 1e-12, "{}", cramers_v(&c, &d));
    }

    #[test]
    fn dependence_is_correlation_for_numbers_and_cramers_v_for_categories() {
        // scipy: pearsonr(x, y)[0], pearsonr(b, y)[0], and association as above
        let columns = [
            coded(vec![0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 1, 2], true),
            coded((0..12).collect(), false),
            coded(vec![3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8], false),
            coded(vec![0, 1, 1, 1, 2, 3, 3, 0, 3, 0, 1, 2], false),
            coded(vec![7; 12], false),
        ];
        let ordered: Vec<Vec<u8>> = columns.iter().map(|column| column.codes.clone()).collect();
        let strengths = strengths(&columns, &ordered);
        for (a, b, expected) in [
            (1, 2, 0.4973872890601886),
            (3, 2, 0.34907155990851835),
            (0, 2, 0.8391463916782737),
            (0, 3, 0.7006941003192636),
            (1, 4, 0.0),
            (1, 1, 0.0),
        ] {
            assert!((strengths[a][b] - expected).abs() < 1e-12, "{a} {b}: {}", strengths[a][b]);
            assert_eq!(strengths[a][b], strengths[b][a]);
        }
    }
}
