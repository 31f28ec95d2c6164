use super::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn of_rows(rows: &[Vec<f64>], labels: &[usize], classes: usize) -> Shape {
    let all: Vec<usize> = (0..rows.len()).collect();
    let encode = |row: usize, out: &mut Vec<f64>| out.clone_from(&rows[row]);
    Shape::of_rows(&all, classes, rows[0].len(), |row| labels[row], encode, &PooledColumns::default())
}

#[test]
fn covariances_are_measured_within_each_class() {
    let rows = [[0.0, 0.0], [2.0, 2.0], [10.0, 0.0], [10.0, 4.0]].map(|row| row.to_vec());
    let shape = of_rows(&rows, &[0, 0, 2, 2], 3);
    let centres: Vec<_> = shape.classes.iter().map(|class| (class.rows, class.means.clone())).collect();
    assert_eq!(centres, [(2, vec![1.0, 1.0]), (2, vec![10.0, 2.0])]);
    let expected = [vec![vec![2.0, 2.0], vec![2.0, 2.0]], vec![vec![0.0, 0.0], vec![0.0, 8.0]]];
    assert_eq!(shape.spread, Spread::PerClass { covariances: expected.to_vec() });
}

#[test]
fn the_divisor_of_a_covariance_is_the_number_of_rows_less_one() {
    let rows = [[0.0, 1.0], [3.0, 1.0], [6.0, 4.0]].map(|row| row.to_vec());
    // numpy.cov(rows.T)
    let expected = vec![vec![vec![9.0, 4.5], vec![4.5, 3.0]]];
    assert_eq!(of_rows(&rows, &[0; 3], 1).spread, Spread::PerClass { covariances: expected });
}

#[test]
fn a_class_without_rows_does_not_change_the_shape() {
    let rows = two_factors(150, 40);
    let labels: Vec<usize> = (0..150).map(|row| row % 2).collect();
    assert_eq!(of_rows(&rows, &labels, 3), of_rows(&rows, &labels, 2));
}

#[test]
fn a_factor_of_many_columns_is_found() {
    // Each column is 0.8 of one common number plus noise of variance 0.36.
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut noise = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let rows: Vec<Vec<f64>> = (0..2000)
        .map(|_| {
            let common = noise();
            (0..40).map(|_| 0.8 * common + 0.6 * noise()).collect()
        })
        .collect();
    let shape = of_rows(&rows, &vec![0; 2000], 1);
    let Spread::Shared { factors, residual } = &shape.spread else { panic!("{:?}", shape.spread) };
    assert_eq!(factors.len(), 1);
    for (loading, residual) in factors[0].iter().zip(residual) {
        assert!((loading.abs() - 0.8).abs() < 0.06 && (residual - 0.36).abs() < 0.06, "{loading} {residual}");
    }
    // The mean squared distance of rows of the same distribution is the number of columns.
    let distance = Distance::new(&shape);
    let mut scratch = Vec::new();
    let mean = rows.iter().map(|row| distance.of(row, &mut scratch).powi(2)).sum::<f64>() / 2000.0;
    assert!((mean / 40.0 - 1.0).abs() < 0.05, "{mean}");
}

#[test]
fn independent_columns_have_no_factor() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let rows: Vec<Vec<f64>> = (0..400).map(|_| (0..60).map(|_| rng.random::<f64>()).collect()).collect();
    let shape = of_rows(&rows, &vec![0; 400], 1);
    let Spread::Shared { factors, .. } = shape.spread else { panic!() };
    assert!(factors.len() <= 1, "{}", factors.len());
}

#[test]
fn noise_in_the_selected_rows_is_not_taken_for_a_factor() {
    // Every tenth of 40,000 rows is used. Their eigenvalues reach (1 + √(40/4000))² = 1.21, and those of all rows 1.06.
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let rows: Vec<Vec<f64>> = (0..40_000).map(|_| (0..40).map(|_| rng.random::<f64>()).collect()).collect();
    let Spread::Shared { factors, .. } = of_rows(&rows, &vec![0; 40_000], 1).spread else { panic!() };
    assert!(factors.len() <= 1, "{}", factors.len());
}

#[test]
fn distances_are_finite_with_fewer_rows_than_features() {
    for width in [20, 50] {
        let rows: Vec<Vec<f64>> =
            (0..5).map(|r| (0..width).map(|f| f64::from((r * 7 + f * 3) % 11)).collect()).collect();
        let distance = Distance::new(&of_rows(&rows, &[0; 5], 1));
        let mut scratch = Vec::new();
        for row in &rows {
            let own = distance.of(row, &mut scratch);
            let far: Vec<f64> = row.iter().map(|value| value + 100.0).collect();
            assert!(own.is_finite() && own < distance.of(&far, &mut scratch));
        }
    }
}

#[test]
fn classes_share_a_covariance_from_33_columns_on() {
    for (width, is_shared) in [(32, false), (33, true)] {
        let rows: Vec<Vec<f64>> =
            (0..40).map(|r| (0..width).map(|f| f64::from((r * r + f * 3) % 11)).collect()).collect();
        let shape = of_rows(&rows, &[0; 40], 1);
        assert_eq!(matches!(shape.spread, Spread::Shared { .. }), is_shared, "{width}");
    }
}

#[test]
fn the_rows_that_count_as_plenty_depend_on_columns_or_factors() {
    for (smallest, width, expected) in [
        (79, 4, false),
        (80, 4, true),
        (639, 32, false),
        (640, 32, true),
        (319, 33, false),
        (320, 33, true),
        // √(2·200) is 20.
        (399, 200, false),
        (400, 200, true),
    ] {
        assert_eq!(Shape::is_plenty(&[1000, smallest], width, 20), expected, "{smallest} {width}");
    }
}

/// Returns rows with two factors. All values are whole tenths, so that Python computes with the same numbers.
fn two_factors(rows: usize, width: usize) -> Vec<Vec<f64>> {
    let tenths = |number: usize, modulus: usize| (number % modulus) as f64 / 10.0;
    let value = |r: usize, c: usize| {
        let noise = tenths(r * r * (c + 1) + 3 * r * c + 7 * r, 101);
        let first = if c.is_multiple_of(4) { 0.0 } else { tenths(r * r * 5 + 3 * r, 89) };
        let second = if c.is_multiple_of(3) { tenths(r * r * 11 + 17 * r, 83) * 0.8 } else { 0.0 };
        noise + first + second
    };
    (0..rows).map(|r| (0..width).map(|c| value(r, c)).collect()).collect()
}

#[test]
fn factors_agree_with_numpy() {
    // numpy: C = X − class means; sd = sqrt((C**2).sum(0)/(n − 2)); Z = C/sd, of 4,100 rows every second one; m = n − 2 or half
    // of it; λ, v = eigh(Z.T @ Z/m); γ = 40/m; for λ > (1 + √γ)²: ℓ = brentq(ℓ·(1 + γ/(ℓ − 1)) − λ); the factor is
    // v·√(ℓ − 1)·sd, and the residual sd²·max(1 − Σ v²·(ℓ − 1), 0.05).
    let of = |count: usize| {
        let labels: Vec<usize> = (0..count).map(|row| row % 2).collect();
        let Spread::Shared { factors, residual } = of_rows(&two_factors(count, 40), &labels, 2).spread else {
            panic!()
        };
        (factors, residual)
    };
    let close = |got: &[f64], expected: [f64; 4], within: f64| {
        for (at, expected) in [0, 1, 3, 39].into_iter().zip(expected) {
            assert!((got[at].abs() / expected - 1.0).abs() < within, "{at}: {} {expected}", got[at]);
        }
    };
    let (factors, residual) = of(150);
    assert_eq!(factors.len(), 2);
    close(&factors[0], [1.1115735527462292, 2.986671119922751, 3.5232732175960577, 2.9418598369404316], 1e-4);
    close(
        &factors[1],
        [1.3431050133153148, 0.2685388877271486, 0.8023485261297543, 0.7653437236074189],
        1e-2,
    );
    close(&residual, [10.41223258, 9.64874555, 10.72420805, 8.63574659], 5e-3);
    let (factors, _) = of(4100);
    close(
        &factors[0],
        [0.5786336785719314, 2.6770571833258923, 3.1435083753399726, 3.0435444419719953],
        1e-4,
    );
}
