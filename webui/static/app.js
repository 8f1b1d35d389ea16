// The countdown to the next tokencode, and the warning before a step ends. The
// server says how much time is left. This machine's clock is not used, only the
// time that passes. Each second is shown; only the end is announced.
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

for (const box of document.querySelectorAll(".limit")) {
  setTimeout(() => {
    box.querySelector(".limit-time").hidden = true;
    box.querySelector(".limit-said").textContent = box.dataset.warning;
  }, Number(box.dataset.left) - 60000);
}
