// Follows a run: the server sends the page's state each second, each ended by a NUL, until the run has ended. One long
// answer rather than many questions, so that the last state always arrives and none is asked for in vain.
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
    say("The run has ended and its server with it; this is its last state.");
  } catch (problem) {
    say("The connection to the run is lost; this is the last state that arrived.");
  }
})();
