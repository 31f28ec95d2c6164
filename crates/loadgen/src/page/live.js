// Follows a run. The server sends the state of the page every second, each followed by a NUL, until the run has ended. All states
// are one long answer, so that the last state always arrives and no request is sent to a server that has stopped.
"use strict";
const say = (text) => {
  const place = document.getElementById("connection");
  place.textContent = text;
  place.hidden = false;
};
(async () => {
  try {
    const answer = await fetch("stream");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const states = (text + value).split("\0");
      text = states.pop();
      const last = states.pop();
      if (last === undefined) continue;
      document.querySelector("main").innerHTML = last;
    }
    say("The run has ended, and its server has stopped. This is the last state.");
  } catch (problem) {
    say("The connection to the run was lost. This is the last state that was received.");
  }
})();
