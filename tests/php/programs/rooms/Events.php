<?php

use GatewayWorker\BusinessWorker;
use GatewayWorker\Lib\Gateway;
use Workerman\Timer;

/** A small game in the way of those that are written for GatewayWorker: rooms, turns and a clock. */
class Events
{
    private static array $clocks = [];

    public static function onWorkerStart(BusinessWorker $worker)
    {
        if ($worker->id === 0) {
            Timer::add(0.05, fn () => Gateway::sendToGroup('tick', "tick of $worker->count"));
        }
    }

    public static function onConnect($client_id)
    {
        Gateway::sendToCurrentClient(json_encode(['type' => 'init', 'client_id' => $client_id]));
    }

    public static function onMessage($client_id, $message)
    {
        $data = json_decode($message, true);
        switch ($data['type'] ?? '') {
            case 'login':
                $_SESSION['name'] = $data['name'];
                $_SESSION['room'] = $data['room'];
                Gateway::joinGroup($client_id, $data['room']);
                Gateway::bindUid($client_id, $data['name']);
                $names = array_column(Gateway::getClientSessionsByGroup($data['room']), 'name');
                sort($names);
                Gateway::sendToGroup($data['room'], json_encode(['login' => $data['name'], 'names' => $names]));
                break;
            case 'move':
                $_SESSION['moves'] = ($_SESSION['moves'] ?? 0) + 1;
                $moves = array_column(Gateway::getAllClientSessions(), 'moves', 'name');
                ksort($moves);
                Gateway::sendToGroup($_SESSION['room'], json_encode(['by' => $_SESSION['name'], 'moves' => $moves]));
                break;
            case 'whisper':
                Gateway::sendToUid($data['to'], json_encode(['from' => $_SESSION['name'], 'text' => $data['text']]));
                break;
            case 'countdown':
                $left = 3;
                self::$clocks[$client_id] = Timer::add(0.02, function () use ($client_id, &$left) {
                    Gateway::sendToClient($client_id, json_encode(['left' => --$left]));
                    if ($left === 0) {
                        Timer::del(self::$clocks[$client_id]);
                        Gateway::sendToClient($client_id, json_encode('go'));
                    }
                });
                break;
            case 'later':
                Timer::add(0.02, [Gateway::class, 'sendToClient'], [$client_id, json_encode('once')], false);
                break;
            case 'tick':
                Gateway::joinGroup($client_id, 'tick');
                break;
            case 'no tick':
                Gateway::leaveGroup($client_id, 'tick');
                break;
        }
    }

    public static function onClose($client_id)
    {
        if (isset($_SESSION['room'])) {
            $count = Gateway::getClientIdCountByGroup($_SESSION['room']);
            Gateway::sendToGroup($_SESSION['room'], json_encode(['logout' => $_SESSION['name'], 'still' => $count]));
        }
    }
}
