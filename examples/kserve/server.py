"""KServe's Python server with a scikit-learn classifier of Iris flowers, in the shape of its sklearnserver, which PyPI does not have.

With `--logger_url URL` it also sends requests and answers as CloudEvents to this address, as KServe's agent does beside the server:
a request when it has arrived, and an answer if its status is 200. Events that cannot be delivered are lost.
"""

import argparse
import asyncio
import datetime
import uuid

import httpx
import kserve
import numpy as np
from kserve import model_server
from kserve.errors import InvalidInput
from kserve.logging import logger, trace_logger
from kserve.utils.utils import get_predict_input, get_predict_response
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

iris = load_iris()
model = make_pipeline(StandardScaler(), LogisticRegression())
# Every second row; the others are the reference, which the model must not know.
model.fit(iris.data[::2], iris.target[::2])


class Iris(kserve.Model):
    def __init__(self):
        super().__init__("iris")
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        return get_predict_response(payload, model.predict(rows(payload)), self.name)


def rows(payload):
    """Returns the rows, or refuses them with 400, where KServe's own sklearnserver answers 500."""
    try:
        values = np.asarray(get_predict_input(payload), dtype=float)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"expected rows of four numbers: {error}") from error
    if values.ndim != 2 or values.shape[1] != 4 or not np.isfinite(values).all():
        raise InvalidInput("expected rows of four numbers")
    return values


class Logger:
    """Sends the requests for predictions that pass through it, and their answers, as CloudEvents in binary mode."""

    def __init__(self, app, url):
        self.app, self.url = app, url
        self.client = httpx.AsyncClient(timeout=5)
        self.sending = set()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or not scope["path"].endswith((":predict", "/infer")):
            return await self.app(scope, receive, send)
        event, request, answer, status = str(uuid.uuid4()), bytearray(), bytearray(), 0

        async def received():
            message = await receive()
            if message["type"] == "http.request":
                request.extend(message.get("body", b""))
                if not message.get("more_body"):
                    self.post("request", event, request)
            return message

        async def sent(message):
            nonlocal status
            status = message.get("status", status)
            if message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))
                if not message.get("more_body") and status == 200:
                    self.post("response", event, answer)
            await send(message)

        await self.app(scope, received, sent)

    def post(self, kind, event, body):
        task = asyncio.create_task(self.deliver(kind, event, bytes(body)))
        self.sending.add(task)
        task.add_done_callback(self.sending.discard)

    async def deliver(self, kind, event, body):
        headers = {
            "Ce-Specversion": "1.0",
            "Ce-Id": event,
            "Ce-Type": f"org.kubeflow.serving.inference.{kind}",
            "Ce-Source": "http://localhost:9081/",
            "Ce-Time": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "Ce-Inferenceservicename": "iris",
            "Ce-Namespace": "default",
            "Ce-Component": "predictor",
            "Ce-Endpoint": "default",
            "Content-Type": "application/json",
        }
        try:
            (await self.client.post(self.url, content=body, headers=headers)).raise_for_status()
        except httpx.HTTPError as error:
            logger.warning("lost an event: %r", error)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--logger_url", help="Send CloudEvents to this address")
    args = parser.parse_args()
    if args.logger_url:
        model_server.app.add_middleware(Logger, url=args.logger_url)
    server = kserve.ModelServer()
    # A line per request and per step of it.
    trace_logger.setLevel("WARNING")
    server.start([Iris()])
