//! Counts, times and logs what a route answers: once, at the boundary, by route and never by raw path.

use crate::{
    api::{ApiError, Reason, State},
    metrics::{Endpoint, EndpointMetrics, MethodLabel},
};
use actix_service::{ServiceFactoryExt, apply_fn_factory};
use actix_web::{
    Error, HttpRequest, HttpResponse, Resource,
    dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse},
    http::{ConnectionType, Method},
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
        Err::<HttpResponse, _>(ApiError::method_not_allowed(request.method(), request.path(), endpoint))
    };
    let instrument = Instrument::new(state, endpoint);
    route(web::resource(endpoint.pattern()))
        .default_service(web::to(refuse))
        .wrap_fn(move |request, service| instrument.call(request, service))
}

/// Refuses what no route matches, and counts that.
pub fn unmatched(
    state: &Arc<State>,
) -> impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>
+ use<> {
    let refuse =
        |request: HttpRequest| async move { Err::<HttpResponse, _>(ApiError::not_found(request.path())) };
    let instrument = Instrument::new(state, Endpoint::Unmatched);
    apply_fn_factory(web::to(refuse), move |request, service: &_| instrument.call(request, service))
        .map_init_err(|()| ())
}

/// What counts the answers of one route.
#[derive(Clone)]
struct Instrument {
    state: Arc<State>,
    metrics: Arc<EndpointMetrics>,
    endpoint: Endpoint,
}

impl Instrument {
    fn new(state: &Arc<State>, endpoint: Endpoint) -> Self {
        Self { state: Arc::clone(state), metrics: Arc::new(state.metrics.endpoint(endpoint)), endpoint }
    }

    fn call<S>(
        &self,
        request: ServiceRequest,
        service: &S,
    ) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S>
    where
        S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
    {
        let (state, metrics, endpoint) = (Arc::clone(&self.state), Arc::clone(&self.metrics), self.endpoint);
        let start = Instant::now();
        let method = request.method().clone();
        let answer = service.call(request);
        async move {
            let mut answer = answer.await;
            let status = match &mut answer {
                Ok(response) => {
                    if !state.is_ready() {
                        // So that the client's next request goes to another replica, or over another connection.
                        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
                    }
                    if let Some(&reason) = response.response().extensions().get::<Reason>() {
                        rejected(&state, &method, endpoint, reason);
                    }
                    response.status()
                }
                Err(error) => error.as_response_error().status_code(),
            };
            metrics.answered(MethodLabel::from(&method), status.as_u16(), start.elapsed().as_secs_f64());
            answer
        }
    }
}

/// Counted always, logged only when asked for: a storm of bad requests must not become a storm of log lines.
fn rejected(state: &State, method: &Method, endpoint: Endpoint, reason: Reason) {
    state.metrics.rejected(reason);
    tracing::debug!(%method, endpoint = endpoint.pattern(), reason = reason.code(), "refused");
}
