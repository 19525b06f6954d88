/** The entry point of the page. */
import "./style/base.css";
import "./style/controls.css";
import "./style/dialogs.css";
import "./style/room.css";
import "./style/sidebar.css";
import "./style/messages.css";
import "./style/messageBody.css";
import "./style/messageTools.css";
import "./style/composer.css";
import "./style/panels.css";
import "./style/welcome.css";
import { render } from "preact";
import { App } from "./view/App";

const root = document.getElementById("app");
if (root) render(<App />, root);
