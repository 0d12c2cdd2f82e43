// The views of the catalog tab.

import { beside } from "./catalog_beside.js";
import { card, details } from "./catalog_card.js";
import { claims } from "./catalog_claims.js";
import { compare } from "./catalog_compare.js";
import { fit } from "./catalog_fit.js";
import { catalog } from "./catalog_table.js";
import { ways } from "./catalog_ways.js";

export const catalogViews = { beside, card, catalog, claims, compare, details, fit, ways };
