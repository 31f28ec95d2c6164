//! Counts and times the answers of each route, and logs refusals. The label is the route's pattern, never the raw path.

use super::{ApiError, State};
use crate::{
    metrics::{MethodLabel, RouteMetrics},
    reason::Reason,
    route::Route,
};
use actix_service::{ServiceFactoryExt, apply_fn_factory};
use actix_web::{
    Error, HttpRequest, HttpResponse, Resource,
    dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse},
    http::{ConnectionType, Method},
    web,
};
use std::{sync::Arc, time::Instant};

/// Returns a resource whose answers are counted under the pattern of its route. It refuses methods that the route does not serve.
pub fn resource<F: FnOnce(Resource) -> Resource>(
    state: &Arc<State>,
    route: Route,
    add_handlers: F,
) -> Resource<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>
    + use<F>,
> {
    let refuse = move |request: HttpRequest| async move {
        Err::<HttpResponse, _>(ApiError::method_not_allowed(request.method(), request.path(), route))
    };
    let instrument = Instrument::new(state, route);
    add_handlers(web::resource(route.pattern()))
        .default_service(web::to(refuse))
        .wrap_fn(move |request, service| instrument.call(request, service))
}

/// Returns the service that refuses and counts requests that match no route.
pub fn unmatched(
    state: &Arc<State>,
) -> impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>
+ use<> {
    let refuse =
        |request: HttpRequest| async move { Err::<HttpResponse, _>(ApiError::not_found(request.path())) };
    let instrument = Instrument::new(state, Route::Unmatched);
    apply_fn_factory(web::to(refuse), move |request, service: &_| instrument.call(request, service))
        .map_init_err(|()| ())
}

/// Counts the answers of one route.
#[derive(Clone)]
struct Instrument {
    state: Arc<State>,
    metrics: Arc<RouteMetrics>,
    route: Route,
}

impl Instrument {
    fn new(state: &Arc<State>, route: Route) -> Self {
        Self { state: Arc::clone(state), metrics: Arc::new(state.metrics.of_route(route)), route }
    }

    fn call<S>(
        &self,
        request: ServiceRequest,
        service: &S,
    ) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S>
    where
        S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
    {
        let (state, metrics, route) = (Arc::clone(&self.state), Arc::clone(&self.metrics), self.route);
        let start = Instant::now();
        let method = request.method().clone();
        let answer = service.call(request);
        async move {
            let mut answer = answer.await;
            let status = match &mut answer {
                Ok(response) => {
                    if !state.is_ready() {
                        // The client then opens another connection for its next request, which may reach another replica.
                        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
                    }
                    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
                    if let Some(error) = error {
                        rejected(&state, &method, route, error.reason());
                    }
                    response.status()
                }
                Err(error) => error.as_response_error().status_code(),
            };
            metrics.answered(
                MethodLabel::of(method.as_str()),
                status.as_u16(),
                start.elapsed().as_secs_f64(),
            );
            answer
        }
    }
}

/// Counts a refusal and logs it. The level is debug, so that many bad requests do not flood the log.
fn rejected(state: &State, method: &Method, route: Route, reason: Reason) {
    state.metrics.rejected(reason);
    tracing::debug!(%method, endpoint = route.pattern(), reason = reason.code(), "refused");
}
