/**
 * What J and K would show stands ready: the panes of the groups around are made while the browser has nothing better to
 * do, and their pictures are decoded, so that a key only puts them in place.
 */

import { soon } from "/static/js/idle.js";

/** @typedef {{stamp: string, detail: Node[], tree: Node[]}} Panes */

export class Ahead {
  /** @param {(group: any) => Panes|null} make the panes of a group that has come, by what they depend on */
  constructor(make) {
    this.make = make;
    /** @type {Map<number, Panes>} */
    this.ready = new Map();
    this.turn = 0;
    /** pictures that are kept decoded @type {Map<string, HTMLImageElement>} */
    this.pictures = new Map();
  }

  /** Have the panes of these groups made soon, and no others. @param {any[]} groups */
  want(groups) {
    const mine = (this.turn += 1);
    const ids = new Set(groups.map((group) => group.id));
    for (const id of this.ready.keys()) if (!ids.has(id)) this.ready.delete(id);
    const urls = groups.flatMap((group) => [group.sheet_url, group.trunk_url]).filter(Boolean);
    for (const url of this.pictures.keys()) if (!urls.includes(url)) this.pictures.delete(url);
    urls.forEach((url) => this.decode(url));
    const left = groups.filter((group) => !this.ready.has(group.id));
    const next = () => {
      const group = left.shift();
      if (!group || mine !== this.turn) return;
      const made = this.make(group);
      if (made) this.ready.set(group.id, made);
      if (left.length) soon(next);
    };
    if (left.length) soon(next);
  }

  /** The panes of a group if they stand ready for what is asked; they are handed out once. @param {number} id @param {string} stamp */
  take(id, stamp) {
    const made = this.ready.get(id);
    this.ready.delete(id);
    return made?.stamp === stamp ? made : null;
  }

  /** @param {string} url */
  decode(url) {
    if (this.pictures.has(url)) return;
    const picture = new Image();
    picture.src = url;
    picture.decode().catch(() => this.pictures.delete(url));
    this.pictures.set(url, picture);
  }
}
