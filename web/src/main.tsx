/** The entry point of the page. */
import "./style/page.css";
import "./style/controls.css";
import "./style/dialogs.css";
import "./style/room.css";
import "./style/rooms.css";
import "./style/messages.css";
import "./style/body.css";
import "./style/tools.css";
import "./style/composer.css";
import "./style/panels.css";
import "./style/welcome.css";
import { render } from "preact";
import { App } from "./view/App";

const root = document.getElementById("app");
if (root) render(<App />, root);
