// The views of the Lab tab.

import { build } from "./lab_build.js";
import { run } from "./lab_run.js";
import { runs } from "./lab_runs.js";
import { tokens } from "./lab_tokens.js";

export const labViews = { "lab-build": build, "lab-run": run, "lab-runs": runs, "lab-tokens": tokens };
