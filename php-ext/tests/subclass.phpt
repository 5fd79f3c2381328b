--TEST--
Classes that extend this one and have the arguments of any version of GatewayWorker's, or methods of their own that this has too
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--FILE--
<?php
require 'gateway.inc';

// These are the arguments of GatewayClient 3.0.0.
class Oldest extends GatewayClient\Gateway
{
    public static function sendToAll($message, $client_id_array = null, $exclude_client_id = null, $raw = false)
    {
        return parent::sendToAll("$message from " . static::class, $client_id_array, $exclude_client_id, $raw);
    }

    public static function sendToClient($client_id, $message)
    {
        return parent::sendToClient($client_id, "$message from " . static::class);
    }

    public static function sendToCurrentClient($message)
    {
    }

    public static function closeClient($client_id)
    {
        return parent::closeClient($client_id);
    }

    public static function closeCurrentClient()
    {
    }

    public static function sendToUid($uid, $message)
    {
        return parent::sendToUid($uid, "$message from " . static::class);
    }

    public static function sendToGroup($group, $message, $exclude_client_id = null, $raw = false)
    {
    }

    public static function isUidsOnline($uids)
    {
        return parent::isUidsOnline($uids);
    }

    public static function batchGetClientIdCountByGroup(array $groups): array
    {
        return parent::batchGetClientIdCountByGroup($groups);
    }
}

// These are the arguments of GatewayWorker 4.
class Newest extends GatewayWorker\Lib\Gateway
{
    public static function sendToClient($client_id, $message, $raw = false)
    {
        return parent::sendToClient($client_id, "$message from " . static::class, $raw);
    }

    public static function sendToUid($uid, $message, $raw = false, ...$more)
    {
        return parent::sendToUid($uid, "$message from " . static::class, $raw);
    }

    public static function closeClient($client_id, $message = null)
    {
        return parent::closeClient($client_id, $message);
    }
}

// The methods that only this class has may mean something else in a program.
class Mine extends Gateway
{
    public static function token(array $user): string
    {
        return "token of $user[name]";
    }

    public static function stats($of, $what)
    {
        return "$what of $of";
    }

    protected static function lastError(int $number)
    {
    }

    public static function destroyClient()
    {
        return 'destroyed';
    }
}

// A program of an earlier version of this class knows tokens without a device.
class Earlier extends Gateway
{
    public static function token(mixed $uid, int $ttl = 3600, array $groups = [], array $session = [], bool $once = false)
    {
        return 'earlier ' . substr_count(parent::token($uid, $ttl, $groups, $session, $once), '.');
    }
}

class Grandchild extends Oldest
{
    public static function sendToUid($uid, $message, $more = 1)
    {
        return parent::sendToUid($uid, "$more $message");
    }
}

$server = new GatewayTest\Server;
Gateway::$registerAddress = $server->register;
$client = $server->connect();
Gateway::bindUid($client->id, 7);
Oldest::sendToAll('all');
var_dump(Oldest::sendToClient($client->id, 'one'));
Oldest::sendToUid(7, 'uid');
Newest::sendToUid(7, 'uid', false, 'more');
Newest::sendToClient($client->id, 'one');
Grandchild::sendToUid(7, 'uid', 2);
// Arguments can be named, as on GatewayWorker's own class.
GatewayWorker\Lib\Gateway::sendToUid(uid: 7, message: 'named', raw: false);
foreach ($client->receiveMany(7) as $message) {
    echo $message, "\n";
}
var_dump(Oldest::isUidsOnline([7]), Oldest::batchGetClientIdCountByGroup(['g']));
echo Mine::token(['name' => 'Ann']), ', ', Mine::stats('all', 'stats'), ', ', Mine::destroyClient(), "\n";
Gateway::$tokenKey = 'a key';
echo Earlier::token('ann'), "\n";
var_dump(Newest::closeClient($client->id, 'bye'), $client->receive());

$method = new ReflectionMethod('Gateway', 'sendToUid');
var_dump($method->isConstructor(), $method->isStatic(), (new ReflectionClass('Gateway'))->getConstructor(), $method->getNumberOfParameters());
?>
--EXPECT--
bool(true)
all from Oldest
one from Oldest
uid from Oldest
uid from Newest
one from Newest
2 uid from Grandchild
named
array(1) {
  [7]=>
  int(1)
}
array(1) {
  ["g"]=>
  int(0)
}
token of Ann, stats of all, destroyed
earlier 2
bool(true)
string(3) "bye"
bool(false)
bool(true)
NULL
int(6)
