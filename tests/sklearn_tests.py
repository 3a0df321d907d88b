"""Which test of ours holds what each of scikit-learn 1.9.1's tests of mixtures holds, and which of theirs do not apply, and why.

``OURS`` maps their files and functions to "file::function" of ours; `test_mixture_behaviour` looks that none is missing.
"""

from __future__ import annotations

HERE, DATA, OPTIONS = "test_mixture_behaviour::", "test_validation::", "test_validation_options::"
PRIOR = (HERE + "test_what_the_prior_is_told_is_the_prior", OPTIONS + "test_bad_options")
PASS = "test_laws_bound::test_update_is_the_oracle_update"
SAME = "test_against_sklearn::test_same_parameters_same_answers"
UNITS = "test_reference_invariance::test_units_and_origin"

GAUSSIAN = {
    "test_gaussian_mixture_attributes": ("test_sklearn_conformance::test_parameters_are_stored_as_given_and_not_checked_before_fit",),
    "test_check_weights": (OPTIONS + "test_bad_options",),
    "test_check_means": (OPTIONS + "test_bad_options",),
    "test_check_precisions": (OPTIONS + "test_bad_options", OPTIONS + "test_precisions_of_diagonal_components_are_numbers_not_a_matrix"),
    "test_suffstat_sk_full": (PASS,),
    "test_suffstat_sk_tied": (PASS,),
    "test_suffstat_sk_diag": (PASS,),
    "test_gaussian_suffstat_sk_spherical": (PASS,),
    "test_compute_log_det_cholesky": (SAME, "test_laws_predictive::test_points_predict_by_their_likelihood"),
    "test_gaussian_mixture_log_probabilities": (SAME,),
    "test_gaussian_mixture_estimate_log_prob_resp": (SAME,),
    "test_gaussian_mixture_predict_predict_proba": (HERE + "test_labels_are_the_most_probable_components", DATA + "test_not_fitted"),
    "test_gaussian_mixture_fit_predict": (HERE + "test_fit_predict_is_fit_and_then_predict",),
    "test_gaussian_mixture_fit_predict_n_init": (HERE + "test_fit_predict_is_fit_and_then_predict",),
    "test_gaussian_mixture_fit": ("test_reference_mclust::test_reaches_the_optimum_of_mclust",),
    "test_gaussian_mixture_fit_best_params": (HERE + "test_more_starts_are_never_worse",),
    "test_gaussian_mixture_fit_convergence_warning": ("test_summary::test_a_fit_that_stopped_early_says_so",),
    "test_multiple_init": (HERE + "test_more_starts_are_never_worse",),
    "test_gaussian_mixture_n_parameters": ("test_reference_structures::test_parameters_are_counted_as_mclust_does",),
    "test_bic_1d_1component": (HERE + "test_one_component_in_one_column_has_the_bic_of_the_text_book",),
    "test_gaussian_mixture_aic_bic": (HERE + "test_scores_and_criteria_are_what_their_names_say",),
    "test_gaussian_mixture_verbose": (HERE + "test_progress_is_told_when_asked_for",),
    "test_warm_start": (HERE + "test_a_warm_start_goes_on_where_the_last_fit_stopped",),
    "test_convergence_detected_with_warm_start": (HERE + "test_a_warm_start_goes_on_where_the_last_fit_stopped",),
    "test_score": (HERE + "test_scores_and_criteria_are_what_their_names_say", DATA + "test_not_fitted"),
    "test_score_samples": (HERE + "test_scores_and_criteria_are_what_their_names_say", SAME),
    "test_monotonic_likelihood": (HERE + "test_the_bound_rises_with_every_pass_and_is_that_of_the_model",),
    "test_regularisation": (HERE + "test_rows_that_repeat_are_survived",),
    "test_fitted_precision_covariance_concistency": (HERE + "test_precisions_are_inverse_covariances",),
    "test_sample": (HERE + "test_drawn_rows_have_the_moments_of_their_components", DATA + "test_wrong_arguments_of_sample"),
    "test_init": (HERE + "test_more_starts_are_never_worse",),
    "test_gaussian_mixture_setting_best_params": (HERE + "test_scores_and_criteria_are_what_their_names_say",),
    "test_init_means_not_duplicated": (HERE + "test_starts_have_means_of_their_own_within_the_data",),
    "test_means_for_all_inits": (HERE + "test_starts_have_means_of_their_own_within_the_data",),
    "test_max_iter_zero": (HERE + "test_no_pass_and_one_pass",),
    "test_gaussian_mixture_precisions_init_diag": (HERE + "test_given_parameters_are_the_start",),
    "test_gaussian_mixture_precisions_init": (HERE + "test_given_parameters_are_the_start",),
    "test_gaussian_mixture_single_component_stable": (HERE + "test_one_component_is_stable_on_few_rows",),
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": (HERE + "test_given_parameters_are_the_start",),
}

BAYESIAN = {
    "test_log_dirichlet_norm": ("test_audits::test_penalties_of_weights_at_extreme_counts",),
    "test_log_wishart_norm": (
        "test_audits::test_multivariate_log_gammas_down_to_their_pole",
        "test_laws_bound::test_one_component_is_the_log_evidence",
    ),
    "test_bayesian_mixture_weights_prior_initialisation": PRIOR,
    "test_bayesian_mixture_mean_prior_initialisation": PRIOR,
    "test_bayesian_mixture_precisions_prior_initialisation": (
        HERE + "test_what_the_prior_is_told_is_the_prior",
        OPTIONS + "test_bad_options",
    ),
    "test_bayesian_mixture_check_is_fitted": (DATA + "test_not_fitted",),
    "test_bayesian_mixture_weights": (HERE + "test_weights_are_posterior_means",),
    "test_monotonic_likelihood": (HERE + "test_the_bound_rises_with_every_pass_and_is_that_of_the_model",),
    "test_check_covariance_precision": (HERE + "test_precisions_are_inverse_covariances",),
    "test_invariant_translation": (UNITS,),
    "test_bayesian_mixture_fit_predict": (HERE + "test_fit_predict_is_fit_and_then_predict",),
    "test_bayesian_mixture_fit_predict_n_init": (HERE + "test_fit_predict_is_fit_and_then_predict",),
    "test_bayesian_mixture_predict_predict_proba": (HERE + "test_labels_are_the_most_probable_components",),
}

MIXTURE = {
    "test_gaussian_mixture_n_iter": (HERE + "test_the_bound_rises_with_every_pass_and_is_that_of_the_model",),
    "test_mixture_n_components_greater_than_n_samples_error": (HERE + "test_more_components_than_rows_are_refused",),
}

OURS = {"test_gaussian_mixture.py": GAUSSIAN, "test_bayesian_mixture.py": BAYESIAN, "test_mixture.py": MIXTURE}

INAPPLICABLE = {
    "test_gaussian_mixture.py": {
        "test_gaussian_mixture_array_api_compliance": "Arrays of other libraries are read as NumPy's; answers are NumPy arrays.",
        "test_gaussian_mixture_raises_where_array_api_not_implemented": "No way of starting is refused for some kinds of arrays.",
    },
    "test_bayesian_mixture.py": {
        "test_compare_covar_type": "It pins restrictions of a full model; our other models are conjugate in themselves.",
    },
    "test_mixture.py": {},
}
