// The countdown to the next tokencode: all that a script does here. The server
// says how long the token goes on showing its present code; the clock of this
// machine is not asked, only how much time passes. Every second is for the
// eyes, the end is said aloud once.
"use strict";

for (const box of document.querySelectorAll(".countdown")) {
  const running = box.querySelector(".countdown-running");
  const bar = box.querySelector("progress");
  const text = box.querySelector(".countdown-text");
  const said = box.querySelector(".countdown-said");
  const end = performance.now() + Number(box.dataset.remaining);

  const tick = () => {
    const left = end - performance.now();
    if (left <= 0) {
      clearInterval(timer);
      running.hidden = true;
      said.textContent = box.dataset.new;
      return;
    }
    bar.value = left;
    text.textContent = box.dataset.text.replace("{s}", Math.ceil(left / 1000));
    running.hidden = false;
  };
  const timer = setInterval(tick, 1000);
  tick();
}
