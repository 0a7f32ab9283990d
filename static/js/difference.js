/** How far two pictures are apart, pixel by pixel and channel by channel: a picture against itself is black everywhere. */

/** @param {HTMLImageElement} image @param {number} width @param {number} height @returns {Uint8ClampedArray} RGBA */
function pixels(image, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

/** Draw |a − b| × `gain` into a canvas of a's size; both must be decoded.
 * @param {HTMLCanvasElement} canvas @param {HTMLImageElement} a @param {HTMLImageElement} b @param {number} gain
 * @returns {{mean: number, most: number}} of the differences before the gain, 0 to 1 */
export function drawDifference(canvas, a, b, gain) {
  const [width, height] = [a.naturalWidth, a.naturalHeight];
  canvas.width = width;
  canvas.height = height;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const [one, other] = [pixels(a, width, height), pixels(b, width, height)];
  const out = context.createImageData(width, height);
  let sum = 0;
  let most = 0;
  for (let i = 0; i < one.length; i += 1) {
    if (i % 4 === 3) { out.data[i] = 255; continue; }
    const gap = Math.abs(one[i] - other[i]);
    sum += gap;
    if (gap > most) most = gap;
    out.data[i] = gap * gain;
  }
  context.putImageData(out, 0, 0);
  return { mean: sum / (255 * 3 * width * height), most: most / 255 };
}
