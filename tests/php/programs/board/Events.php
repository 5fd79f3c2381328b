<?php

use GatewayWorker\Lib\Gateway;
use Workerman\Timer;

/** Five in a row, in the way of the games that are written for GatewayWorker: two play in a room, others watch. */
class Events
{
    /** @var array<string, array<string, string>> stones by room and place */
    private static array $boards = [];
    /** @var array<string, int> the timer of each room's turn */
    private static array $clocks = [];

    public static function onConnect($client_id)
    {
        Gateway::sendToClient($client_id, json_encode(['type' => 'init', 'client_id' => $client_id]));
    }

    public static function onMessage($client_id, $message)
    {
        $data = json_decode($message, true);
        $method = 'on' . ucfirst($data['do'] ?? '');
        if (is_callable([self::class, $method])) {
            self::$method($client_id, $data);
        }
    }

    private static function onEnter($client_id, array $data)
    {
        $room = $data['room'];
        $players = array_filter(Gateway::getClientSessionsByGroup($room), fn ($session) => isset($session['side']));
        $_SESSION['room'] = $room;
        $_SESSION['name'] = $data['name'];
        if (count($players) < 2) {
            $_SESSION['side'] = count($players) === 0 ? 'black' : 'white';
            Gateway::bindUid($client_id, "$room/{$_SESSION['side']}");
        }
        Gateway::joinGroup($client_id, $room);
        self::tell('entered', ['name' => $data['name'], 'side' => $_SESSION['side'] ?? null, 'who' => self::names($room)]);
        if (isset($_SESSION['side']) && count($players) === 1) {
            self::$boards[$room] = [];
            self::turn($room, 'black');
        }
    }

    private static function onPut($client_id, array $data)
    {
        $room = $_SESSION['room'];
        if (!isset($_SESSION['side']) || isset(self::$boards[$room][$data['at']])) {
            Gateway::sendToCurrentClient(json_encode(['no' => $data['at']]));
            return;
        }
        Timer::del(self::$clocks[$room]);
        self::$boards[$room][$data['at']] = $_SESSION['side'];
        $_SESSION['stones'][] = $data['at'];
        self::tell('put', ['at' => $data['at'], 'side' => $_SESSION['side']], [$client_id]);
        if (count($_SESSION['stones']) === 5) {
            $_SESSION['wins'] = ($_SESSION['wins'] ?? 0) + 1;
            unset($_SESSION['stones']);
            $stones = count(self::$boards[$room]);
            self::tell('won', ['name' => $_SESSION['name'], 'stones' => $stones, 'wins' => $_SESSION['wins']]);
            return;
        }
        self::turn($room, $_SESSION['side'] === 'black' ? 'white' : 'black');
    }

    private static function onSlow($client_id, array $data)
    {
        // Nobody waits longer than that for a stone.
        $room = $_SESSION['room'];
        Timer::del(self::$clocks[$room]);
        self::$clocks[$room] = Timer::add(0.03, function ($room, $side) {
            Gateway::sendToGroup($room, json_encode(['late' => $side]));
        }, [$room, $_SESSION['side']], false);
    }

    private static function onSave($client_id, array $data)
    {
        Gateway::updateSession($client_id, ['saved' => ['at' => $data['at'], 'by' => [$_SESSION['name']]]]);
        Gateway::sendToCurrentClient(json_encode($_SESSION));
    }

    private static function onLeave($client_id, array $data)
    {
        Gateway::leaveGroup($client_id, $_SESSION['room']);
        Gateway::unbindUid($client_id, "{$_SESSION['room']}/{$_SESSION['side']}");
        self::tell('left', ['name' => $_SESSION['name'], 'still' => self::names($_SESSION['room'])]);
        $_SESSION['side'] = null;
    }

    private static function onDismiss($client_id, array $data)
    {
        $room = $_SESSION['room'];
        self::tell('over', ['count' => Gateway::getClientIdCountByGroup($room)]);
        Gateway::ungroup($room);
        Gateway::sendToCurrentClient(json_encode(['count' => Gateway::getClientIdCountByGroup($room)]));
    }

    public static function onClose($client_id)
    {
        if (isset($_SESSION['room'])) {
            self::tell('gone', ['name' => $_SESSION['name'], 'side' => $_SESSION['side'] ?? null]);
        }
    }

    /** The one whose turn it is hears of it by its name in the game. */
    private static function turn(string $room, string $side): void
    {
        Gateway::sendToUid("$room/$side", json_encode(['turn' => $side]));
        self::$clocks[$room] = Timer::add(600, fn () => null);
    }

    private static function tell(string $what, array $more, ?array $except = null): void
    {
        Gateway::sendToGroup($_SESSION['room'], json_encode(['what' => $what] + $more), $except);
    }

    private static function names(string $room): array
    {
        $names = array_column(Gateway::getClientSessionsByGroup($room), 'name');
        sort($names);
        return $names;
    }
}
