//! Roles: names such as `most_important_feature` that stand for a feature of any model, so that one scenario can be run on every
//! model.

use model::ModelCard;

/// The roles, with a description of each.
pub const ROLES: [(&str, &str); 3] = [
    ("most_important_feature", "the feature that predictions depend on most"),
    ("a_numeric_feature", "the most important of the numeric features"),
    ("a_categorical_feature", "the most important of the categorical features"),
];

/// Returns the position of the feature with this name or role; `None` if the name is neither. The name of a feature takes
/// precedence over a role of the same name.
///
/// # Errors
/// Returns an error if the name is a role that no feature of this model has.
pub fn feature(name: &str, card: &ModelCard) -> Result<Option<usize>, String> {
    if let Some(own) = card.features.iter().position(|feature| feature.name == name) {
        return Ok(Some(own));
    }
    let [(any, _), (numeric, _), (categorical, _)] = ROLES;
    let wanted = |at: usize| match name {
        name if name == numeric => card.features[at].numeric().is_some(),
        name if name == categorical => card.features[at].categorical().is_some(),
        name => name == any,
    };
    if !ROLES.iter().any(|(role, _)| *role == name) {
        return Ok(None);
    }
    let importance = |at: usize| card.features[at].importance;
    let found = (0..card.features.len())
        .filter(|&at| wanted(at))
        .reduce(|best, at| if importance(at) > importance(best) { at } else { best });
    found.map(Some).ok_or_else(|| {
        format!("{name}: the model has no feature of this kind; give the name of another feature")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_stands_for_the_most_important_feature_of_its_kind() {
        let mut card = model::train(&model::iris::table(), &model::TrainOptions::new("iris")).unwrap().card;
        let petal = feature("most_important_feature", &card).unwrap().unwrap();
        assert!([2, 3].contains(&petal));
        assert_eq!(feature("a_numeric_feature", &card), Ok(Some(petal)));
        assert_eq!(feature("petal_width", &card), Ok(Some(3)));
        assert_eq!(feature("rose", &card), Ok(None));
        assert!(feature("a_categorical_feature", &card).is_err());
        card.features[1].name = "a_categorical_feature".into();
        assert_eq!(feature("a_categorical_feature", &card), Ok(Some(1)));
    }
}
