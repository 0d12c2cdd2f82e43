// The views of the catalog tab.

import { card, details } from "./catalog_card.js";
import { fit } from "./catalog_fit.js";
import { catalog } from "./catalog_table.js";

export const catalogViews = { card, catalog, details, fit };
