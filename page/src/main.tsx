import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/wall.css";
import "./styles/feed.css";
import "./styles/lists.css";
import "./styles/search.css";
import "./styles/ask.css";
import { App } from "./app";
import { forgetBetweenUsers } from "./state/user-change";

forgetBetweenUsers();
const root = document.getElementById("app");
if (root) render(<App />, root);
