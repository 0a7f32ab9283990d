/** A file to the API as it is, with its progress and a way to stop. */
import { ApiError, button, el, fill, kept } from "/static/js/lib.js";

/** @param {string} path relative to /api/v1 @param {Blob} file @param {(share: number) => void} onprogress
 * @returns {{done: Promise<any>, stop: () => void}} */
export function upload(path, file, onprogress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open("POST", `/api/v1/${path}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (e) => { if (e.lengthComputable) onprogress(e.loaded / e.total); };
    request.onload = () => {
      if (request.status < 400) { resolve(request.response); return; }
      const error = new ApiError(request.response?.error || `The studio answered ${request.status} without saying why.`, request.status);
      error.problems = request.response?.problems ?? [];
      reject(error);
    };
    request.onerror = () => reject(new ApiError("The studio does not answer. Send the file again: nothing is added twice.", 0));
    request.onabort = () => reject(new ApiError("Stopped before the file was sent; nothing was imported.", 0));
    request.send(file);
  });
  return { done, stop: () => request.abort() };
}

/** The same, shown in `host` while it is on its way. @param {HTMLElement} host @param {string} path @param {File} file @returns {Promise<any>} */
export function send(host, path, file) {
  const bar = el("b", { style: "width:0" });
  const sending = upload(path, file, (share) => { bar.style.width = `${100 * share}%`; });
  fill(host, el("div", { class: "job" }, el("b", { class: "strong" }, `Sending ${kept(file.name)}`), el("span", { class: "meter go" }, bar),
    el("div", { class: "row meta muted" }, el("span", { class: "grow" }, `${(file.size / 1e6).toFixed(1)} MB`), button("Stop", { kind: "quiet", size: "sm", icon: "stop", onclick: sending.stop }))));
  return sending.done;
}
