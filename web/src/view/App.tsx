/** Signed out: what this is and how to come in. Signed in: the chat. */
import { useEffect, useState } from "preact/hooks";
import { session } from "../api/session";
import { Chat, ChatContext } from "../state/chat";
import { useStore } from "../store";
import { ChatPage } from "./ChatPage";
import { Welcome } from "./Welcome";

export function App() {
  const userId = useStore(session)?.userId ?? null;
  const [chat, setChat] = useState<Chat | null>(null);

  // One chat for each person, not for each pair of tokens: renewing them disturbs nothing.
  useEffect(() => {
    if (!userId) return;
    const opened = new Chat(userId);
    setChat(opened);
    return () => {
      opened.close();
      setChat(null);
    };
  }, [userId]);

  if (!userId) return <Welcome />;
  if (!chat) return null;
  return (
    <ChatContext.Provider value={chat}>
      <ChatPage />
    </ChatContext.Provider>
  );
}
