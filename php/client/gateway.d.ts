/** A message that PHP pushes: a JSON object with a type. */
export interface Message {
    type: string;
    [property: string]: any;
}

/** A message of the inbox, which PHP has sent by Gateway::deliverToUid(). */
export interface InboxMessage {
    /** The id that deliverToUid() has returned or was given. */
    readonly id: string;
    /** What PHP has sent: a JSON object with a string `type` as such, anything else as the text that it is. */
    readonly data: Message | string;
    /** True if no page of the device was sent the message before. A message that has waited is not new, as one may have been. */
    readonly isNew: boolean;
    /** Tells PHP that the user has read the message. Returns whether that was taken, as send() does; it is taken once. */
    read(): boolean;
}

/** What names a connection to PHP, from the gateway's init message. */
export interface Identity {
    client_id: string;
    proof?: string;
}

export interface Options {
    /**
     * An address of this site that gives a connect token by POST before each attempt, a function that returns a token, or a token.
     * Without a token the page connects as nobody.
     */
    token?: string | null | (() => string | null | Promise<string | null>);
    /** Whether the token travels in the URL (the default) or as a subprotocol, which no proxy logs. */
    tokenIn?: 'query' | 'protocol';
    /** Subprotocols that the client offers. The gateway chooses "gateway" or one of its setting `subprotocols`. */
    protocols?: string[];
    /**
     * An address of this site to which the client posts client_id and proof once it is connected, or a function that does so. The
     * client tries again after a rejection and a Response with status 429 or 5xx. Another Response that is not ok is final.
     */
    bind?: string | null | ((identity: Identity, signal: AbortSignal) => unknown);
    /** The header X-CSRF-Token of these posts. The default is the content of <meta name="csrf-token">. */
    csrf?: string | null | (() => string | null | undefined | Promise<string | null | undefined>);
    /** The limit of the first delay, in milliseconds, which doubles with each attempt. The default is 1,000. */
    minDelay?: number;
    /** The highest limit while the page is visible, in milliseconds. The default is 30,000. */
    maxDelay?: number;
    /** The highest limit while the page is hidden, in milliseconds. The default is 300,000. */
    hiddenMaxDelay?: number;
    /** How long an attempt may take, with its token, in milliseconds. The default is 15,000. */
    connectTimeout?: number;
    /**
     * A message that the application answers. The client sends it to see whether the connection is alive. With gateway.2 the gateway
     * itself answers the client, and no message is needed.
     */
    ping?: string | object | null;
    /** The time between two checks of the connection, in milliseconds. The default is 30,000. */
    pingInterval?: number;
    /** How long the client waits for any message after a ping, in milliseconds. The default is 10,000. */
    pingTimeout?: number;
    /**
     * The bytes of messages that may wait for the next connection or for the gateway's confirmation, two a character, with gateway.2.
     * The message that exceeds them is the last that send() takes. The default is 262,144.
     */
    queueBytes?: number;
    /**
     * Whether to speak gateway.2 where the gateway does, so that nothing is missed. With false the client offers no subprotocol of its
     * own, which saves an attempt that fails where the server is GatewayWorker itself. The default is true.
     */
    resume?: boolean;
    /**
     * Whether the next page of this tab goes on as the client of this one, after a reload or a link. A string names whom the page is
     * for, such as the id of the user: only a page with the same string goes on. The default is false.
     */
    resumeTab?: boolean | string;
    /**
     * The name of the device for the inbox, 1 to 64 letters, digits, - and _. The default is a random one that the browser keeps in
     * localStorage, and none where it cannot. With false the page names no device.
     */
    device?: string | false | null;
    /** Returns a number from 0 to 1, for the delays. */
    random?: () => number;
}

export type State = 'connecting' | 'open' | 'waiting' | 'closed';

export interface CloseEvent extends Event {
    readonly code: number;
    readonly reason: string;
    /** Whether the client connects again by itself. */
    readonly again: boolean;
}

export interface ReconnectingEvent extends Event {
    /** The number of the attempt, from 1. */
    readonly attempt: number;
    readonly delay: number;
}

export interface BoundEvent extends Event {
    readonly clientId: string;
}

/** The page is back as the client that it was, and has missed nothing. */
export interface RecoveredEvent extends Event {
    /** Number of messages that came meanwhile. They follow. */
    readonly missed: number;
}

/** The page is another client than before, and may have missed messages. */
export interface GapEvent extends Event {
    /** Why the gateway did not keep the client, if it was asked for it. Later versions have more reasons. */
    readonly reason?: 'expired' | 'overflow' | 'restarted' | 'closed' | 'identity' | 'raw' | 'moved' | 'unknown' | (string & {});
    /** The page's own messages, as texts, that may or may not have arrived. They are not sent again. */
    readonly unconfirmed: string[];
}

/** PHP asks the page, by Gateway::ask(). */
export interface AskEvent extends Event {
    /** The question, as PHP has sent it. */
    readonly data: string;
    /**
     * Answers: a string as it is, anything else as JSON, a promise with what it gives. Returns whether the answer was taken, as send()
     * does; it is not where the question was answered before, or the client that was asked has gone.
     */
    reply(value: unknown): boolean;
}

/** send() has taken no message, as too much waits. */
export interface OverflowEvent extends Event {
    readonly message: unknown;
}

export interface RawEvent extends Event {
    readonly data: string | ArrayBuffer;
}

/** An error, which the console shows unless a listener prevents the default. */
export interface ErrorEvent extends Event {
    readonly where: 'token' | 'connect' | 'bind' | 'protocol' | 'ask';
    readonly message: string;
    readonly cause: unknown;
    /** The HTTP status of the answer to a bind, or to the request for a token. */
    readonly status?: number;
}

export interface Events {
    open: Event;
    bound: BoundEvent;
    close: CloseEvent;
    reconnecting: ReconnectingEvent;
    recovered: RecoveredEvent;
    gap: GapEvent;
    overflow: OverflowEvent;
    ask: AskEvent;
    error: ErrorEvent;
    raw: RawEvent;
}

export class Gateway extends EventTarget {
    /** Connects at once. The URL may be relative to the page, and http: and https: mean ws: and wss:. */
    constructor(url: string | URL, options?: Options);

    /** Asks an address for a token once, as the option `token` does. */
    static token(
        url: string,
        options?: {csrf?: Options['csrf']; signal?: AbortSignal},
    ): Promise<string | null>;

    readonly state: State;
    /** The client_id of this connection; null until its init message has come. */
    readonly clientId: string | null;

    /**
     * Calls the handler with each message of the inbox, in order. The next one comes once all promises that the handlers have returned
     * are settled. Without such a handler, the messages of the inbox go to the handlers of their types.
     */
    on(type: 'inbox', handler: (message: InboxMessage) => unknown): () => void;
    /** Calls the handler with the number of messages of the inbox that were dropped before this device had them. */
    on(type: 'lost', handler: (count: number) => unknown): () => void;
    /** Calls the handler with each message of this type, or of any type for "*". The returned function removes the handler. */
    on<M extends Message = Message>(type: M['type'] | '*', handler: (message: M) => void): () => void;
    once(type: 'inbox', handler: (message: InboxMessage) => unknown): () => void;
    once(type: 'lost', handler: (count: number) => unknown): () => void;
    once<M extends Message = Message>(type: M['type'] | '*', handler: (message: M) => void): () => void;
    off(type: string, handler: (message: any) => void): void;

    /**
     * Returns whether the message was taken. Once the gateway has spoken gateway.2, messages wait for the next connection within
     * `queueBytes`, and each arrives once unless an event `gap` names it. Otherwise nothing is taken without a connection.
     */
    send(message: string | object): boolean;
    /** Connects at once, after close() or during a pause. */
    connect(): void;
    /** Ends the client and its connection until connect() is called. */
    close(): void;

    addEventListener<E extends keyof Events>(
        type: E,
        listener: ((event: Events[E]) => void) | {handleEvent(event: Events[E]): void} | null,
        options?: boolean | AddEventListenerOptions,
    ): void;
    removeEventListener<E extends keyof Events>(
        type: E,
        listener: ((event: Events[E]) => void) | {handleEvent(event: Events[E]): void} | null,
        options?: boolean | EventListenerOptions,
    ): void;
}

declare global {
    /** The class, on pages that load gateway.global.js. */
    interface Window {
        Gateway: typeof Gateway;
    }
}
