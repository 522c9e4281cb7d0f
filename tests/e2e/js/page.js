// The page's side of a worker that answers questions.
const open = new Map();
let number = 0;
let worker;

window.start = (script) => new Promise((resolve, reject) => {
  worker = new Worker(script, {type: "module"});
  worker.onerror = (event) => reject(new Error(event.message || "the worker does not start"));
  worker.onmessage = ({data}) => {
    if (data.ready) { resolve(); return; }
    const {resolve: done, reject: failed} = open.get(data.id);
    open.delete(data.id);
    if (data.bug) failed(new Error(data.bug));
    else done(data.said);
  };
});

window.ask = (what, given) => new Promise((resolve, reject) => {
  open.set(number += 1, {resolve, reject});
  worker.postMessage({id: number, what, given});
});

document.documentElement.dataset.ready = "yes";
