<?php

class Cart
{
    public $suit;
    public $items = ['tea'];

    public function __wakeup()
    {
        file_put_contents(getenv('DIARY'), "woken\n", FILE_APPEND);
    }
}

enum Suit: string
{
    case Hearts = 'h';
}

/** Does what a client's message says, and keeps a diary in the file that DIARY names. */
class Events
{
    public static function onWorkerStart($worker)
    {
        self::note("start $worker->id");
    }

    public static function onConnect($client_id)
    {
        self::note("connect $client_id");
        $_SESSION['messages'] = 0;
        Gateway::sendToCurrentClient(json_encode(['type' => 'init', 'client_id' => $client_id, 'worker' => getmypid()]));
    }

    public static function onWebSocketConnect($client_id, $data)
    {
        $_SESSION['room'] = $data['get']['room'] ?? null;
        $_SESSION['agent'] = $data['server']['HTTP_X_AGENT'] ?? null;
    }

    public static function onMessage($client_id, $message)
    {
        $_SESSION['messages']++;
        self::note("message $client_id $message");
        switch ($message) {
            case 'throw':
                throw new LogicException('thrown by the handler');
            case 'exit':
                exit(3);
            case 'fatal':
                ini_set('memory_limit', '32M');
                self::note(str_repeat('x', 1 << 30));
                break;
            case 'set session':
                $_SESSION['lost'] = true;
                Gateway::setSession($client_id, ['messages' => 70, 'a' => ['b' => 1]]);
                $_SESSION['messages']++;
                break;
            case 'update session':
                Gateway::updateSession($client_id, ['a' => ['c' => 2]]);
                Gateway::setSession(str_repeat('0', 20), ['not' => 'this one']);
                break;
            case 'answer, then wait':
                Gateway::sendToCurrentClient('the answer');
                for ($i = 0; $i < 60_000 && !file_exists(getenv('DIARY') . '.go-on'); $i++) {
                    usleep(1000);
                }
                self::note('waited');
                return;
            case 'remember objects':
                $_SESSION['cart'] = new Cart();
                $_SESSION['cart']->suit = Suit::Hearts;
                break;
            case 'what is remembered':
                Gateway::sendToCurrentClient(json_encode([
                    get_debug_type($_SESSION['cart'] ?? null), bin2hex(GatewayEvents::writeSession($_SESSION)),
                ]));
                return;
            case 'close':
                Gateway::closeCurrentClient('bye');
                return;
        }
        Gateway::sendToCurrentClient(json_encode([
            'message' => $message,
            'session' => $_SESSION,
            'server' => $_SERVER,
            'worker' => getmypid(),
            'version' => defined('VERSION') ? VERSION : 0,
        ]));
    }

    public static function onClose($client_id)
    {
        self::note("close $client_id after {$_SESSION['messages']}");
    }

    public static function onWorkerStop($worker)
    {
        self::note("stop $worker->id");
    }

    private static function note(string $line): void
    {
        file_put_contents(getenv('DIARY'), "$line\n", FILE_APPEND);
    }
}
