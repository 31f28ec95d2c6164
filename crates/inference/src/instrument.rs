//! Counts, times and logs what a route answers: once, at the boundary, by route and never by raw path.

use crate::{
    api::{ApiError, Reason, State},
    metrics::Endpoint,
};
use actix_web::{
    Error, HttpRequest, Resource,
    dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse},
    http::Method,
    web,
};
use std::{sync::Arc, time::Instant};

/// A resource whose answers are counted under its pattern, and which refuses methods it does not serve.
pub fn resource<F: FnOnce(Resource) -> Resource>(
    state: &Arc<State>,
    endpoint: Endpoint,
    route: F,
) -> Resource<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>
    + use<F>,
> {
    let refuse = move |request: HttpRequest| async move {
        Err::<actix_web::HttpResponse, _>(match endpoint {
            Endpoint::Unmatched => ApiError::not_found(request.path()),
            _ => ApiError::method_not_allowed(request.method(), request.path(), endpoint),
        })
    };
    let pattern = if endpoint == Endpoint::Unmatched { "{path:.*}" } else { endpoint.pattern() };
    let (state, metrics) = (Arc::clone(state), Arc::new(state.metrics.endpoint(endpoint)));
    route(web::resource(pattern)).default_service(web::to(refuse)).wrap_fn(move |request, service| {
        let (state, metrics) = (Arc::clone(&state), Arc::clone(&metrics));
        let start = Instant::now();
        let method = request.method().clone();
        let answer = service.call(request);
        async move {
            let answer = answer.await;
            let status = match &answer {
                Ok(response) => {
                    if let Some(&reason) = response.response().extensions().get::<Reason>() {
                        rejected(&state, &method, endpoint, reason);
                    }
                    response.status()
                }
                Err(error) => error.as_response_error().status_code(),
            };
            metrics.answered(&method, status.as_u16(), start.elapsed().as_secs_f64());
            answer
        }
    })
}

/// Counted always, logged only when asked for: a storm of bad requests must not become a storm of log lines.
fn rejected(state: &State, method: &Method, endpoint: Endpoint, reason: Reason) {
    state.metrics.rejected(reason);
    tracing::debug!(%method, endpoint = endpoint.pattern(), reason = reason.code(), "refused");
}
