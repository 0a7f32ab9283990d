/** Work that can wait until the browser has nothing better to do. */

/** @type {(work: () => void) => void} */
export const soon = (work) => { (window.requestIdleCallback ?? ((/** @type {() => void} */ then) => window.setTimeout(then, 1)))(work); };
