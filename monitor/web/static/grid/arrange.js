// Groups sensors for the grid. Must match monitor/web/grid/cells.py.

import { natural, passing } from "./find.js";
import { WORST_FIRST } from "../words.js";

const RANK = Object.fromEntries(WORST_FIRST.map((status, rank) => [status, rank]));

/** `sensors` are ordered by name. A group's site is null without a site, "" if it is the only group. */
export function arrange(sensors, filters) {
  const passes = passing(filters);
  const groups = new Map();
  for (const sensor of sensors) {
    if (!passes(sensor)) continue;
    const site = filters.flat ? "" : sensor.site || null;
    let group = groups.get(site);
    if (!group) groups.set(site, (group = { site, ranks: WORST_FIRST.map(() => []), named: [] }));
    group.ranks[RANK[sensor.status]].push(sensor);
    group.named.push(sensor);
  }
  if (groups.size === 1 && groups.has(null)) groups.get(null).site = "";
  const made = [...groups.values()].map(({ site, ranks, named }) => ({
    site,
    key: site === null ? "1" : `0${natural(site)}`,
    down: ranks[RANK.down].length,
    unknown: ranks[RANK.unknown].length,
    sensors: filters.byName ? named : ranks.flat(),
  }));
  const byName = (a, b) => (a.key < b.key ? -1 : 1);
  const worst = (a, b) => b.down - a.down || b.unknown - a.unknown || byName(a, b);
  return made.sort(filters.byName ? byName : worst);
}
