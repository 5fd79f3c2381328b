<?php
// Calls nearly every method of the class in many ways, and prints what each returned, one JSON line a call.
//
//   php scenario.php REGISTER CLIENT_ID CLIENT_ID CLIENT_ID CLIENT_ID CLIENT_ID CLIENT_ID
//
// With GATEWAYCLIENT_PATH set it runs on the original class, or another one that CLASS names, else on the extension. Client
// ids are printed as "client 0" and so on, and whatever has no promised order is sorted, so that all print the same.
// Methods that the class does not have are left out.

use GatewayClient\Gateway;

if (getenv('GATEWAYCLIENT_PATH')) {
    require __DIR__ . '/gatewayworker/autoload.php';
}
// The original promises no order between calls, so each must have taken effect before the next.
$settle = (int) getenv('SETTLE');

/** @var class-string<Gateway> $class */
$class = getenv('CLASS') ?: Gateway::class;
$class::$registerAddress = $argv[1];
$class::$secretKey = (string) getenv('SECRET_KEY');
if (getenv('PERSISTENT') !== false) {
    $class::$persistentConnection = (bool) getenv('PERSISTENT');
}
$c = array_slice($argv, 2);

$gone = substr($c[0], 0, 12) . 'ffffffff';

/** Client ids get their number in our list. */
function named(mixed $value): mixed
{
    global $c, $gone;
    if (is_array($value)) {
        $keys = array_map(static fn ($key) => is_string($key) ? named($key) : $key, array_keys($value));

        return array_combine($keys, array_map(named(...), $value));
    }
    $number = array_search(is_string($value) ? strtolower($value) : $value, $c, true);

    return match (true) {
        $value === $gone => 'client gone',
        $number === false => $value,
        default => "client $number",
    };
}

/** What has no promised order gets one. */
function sorted(mixed $value): mixed
{
    if (is_array($value)) {
        $value = array_map(sorted(...), $value);
        array_is_list($value) ? sort($value) : ksort($value, SORT_STRING);
    }

    return $value;
}

function call(string $method, mixed ...$arguments): void
{
    global $settle, $class;
    if (!method_exists($class, $method)) {
        return;
    }
    // The original prints that a group is empty.
    ob_start();
    try {
        $result = $class::$method(...$arguments);
    } catch (\Exception $exception) {
        $result = 'Exception: ' . $exception->getMessage();
    }
    ob_end_clean();
    usleep($settle);
    $line = [$method, named($arguments), get_debug_type($result), sorted(named($result))];
    echo json_encode($line, JSON_PRESERVE_ZERO_FRACTION | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}

// Nothing is bound yet.
call('getAllClientIdCount');
call('getAllClientCount');
call('getAllClientIdList');
call('getAllUidList');
call('getAllUidCount');
call('getAllGroupIdList');
call('getAllClientSessions');
call('isOnline', $c[0]);
call('isOnline', $gone);
call('isUidOnline', 'alice');
call('isUidsOnline', ['alice', 'bob']);
call('getClientIdByUid', 'alice');
call('batchGetClientIdByUid', ['alice', 'bob']);
call('getUidByClientId', $c[0]);
call('getUidByClientId', $gone);
call('getSession', $c[0]);
call('getClientIdCountByGroup');
call('getClientIdCountByGroup', 'red');
call('getClientIdListByGroup', 'red');
call('getUidListByGroup', 'red');
call('getUidCountByGroup', 'red');
call('getClientSessionsByGroup', 'red');

// Uids: strings, integers, moving, unbinding.
call('bindUid', $c[0], 'alice');
call('bindUid', $c[1], 'alice');
call('bindUid', $c[2], 'bob');
call('bindUid', $c[3], 42);
call('bindUid', $c[4], 'to be moved');
call('bindUid', $c[4], '42');
call('isUidOnline', 'alice');
call('isUidOnline', 42);
call('isUidOnline', 'to be moved');
call('isUidsOnline', ['alice', 42, 'nobody']);
call('getClientIdByUid', 'alice');
call('getClientIdByUid', 42);
call('getClientIdByUid', 'nobody');
call('batchGetClientIdByUid', ['alice', 'bob', 'nobody']);
call('getUidByClientId', $c[2]);
call('getUidByClientId', $c[3]);
call('getUidByClientId', $c[5]);
call('getAllUidList');
call('getAllUidCount');
call('sendToUid', 'alice', 'to alice');
call('sendToUid', 42, 'to 42');
call('sendToUid', '42', 'to 42 again');
call('sendToUid', ['alice', 'bob'], 'to alice and bob');
call('sendToUid', ['alice', 42, 'nobody'], 'to alice and 42');
call('sendToUid', 'nobody', 'to nobody');
call('unbindUid', $c[4], 42);
call('unbindUid', $c[5], 'never bound');
call('getClientIdByUid', 42);
call('sendToUid', 42, 'to the rest of 42');
call('unbindUid', $c[1], 'whichever');
call('getClientIdByUid', 'alice');
call('bindUid', $c[1], 'alice');

// Groups.
call('joinGroup', $c[0], 'red');
call('joinGroup', $c[1], 'red');
call('joinGroup', $c[1], 'red');
call('joinGroup', $c[2], 'red');
call('joinGroup', $c[2], 'blue');
call('joinGroup', $c[3], 'blue');
call('joinGroup', $c[3], 7);
call('joinGroup', $c[5], '7');
call('getClientIdCountByGroup', 'red');
call('getClientCountByGroup', 'blue');
call('getClientIdCountByGroup', 7);
call('getClientIdCountByGroup', 'none');
call('getClientIdCountByGroup', '');
call('batchGetClientIdCountByGroup', ['red', 'blue', 'none']);
call('getClientIdListByGroup', 'red');
call('getClientIdListByGroup', ['red', 'blue']);
call('getClientIdListByGroup', 7);
call('getUidListByGroup', 'red');
call('getUidListByGroup', 'blue');
call('getUidCountByGroup', 'red');
call('getUidCountByGroup', 'none');
call('getAllGroupIdList');
call('sendToGroup', 'red', 'to red');
call('sendToGroup', 7, 'to 7');
call('sendToGroup', ['red', 'blue'], 'to red and blue');
call('sendToGroup', 'red', 'to red but 0', [$c[0]]);
call('sendToGroup', ['blue', 7], 'to blue and 7 but 3', [$c[3]]);
call('sendToGroup', 'none', 'to none');
call('leaveGroup', $c[1], 'red');
call('leaveGroup', $c[1], 'red');
call('leaveGroup', $c[5], 'red');
call('getClientIdListByGroup', 'red');
call('ungroup', 'blue');
call('getClientIdListByGroup', 'blue');
call('sendToGroup', 'blue', 'to nobody any more');
call('getAllGroupIdList');

// Empty names are nobody's, and take nothing from the rest of a list. Where nothing is sent, the original prints.
foreach (['', '0', 0, []] as $empty) {
    call('sendToUid', $empty, 'to an empty uid');
    call('sendToGroup', $empty, 'to an empty group');
    call('getClientIdListByGroup', $empty);
    call('getUidListByGroup', $empty);
    call('getUidCountByGroup', $empty);
    call('getClientSessionsByGroup', $empty);
    call('getAllClientSessions', $empty);
}
foreach (['', '0', 0] as $empty) {
    call('isUidOnline', $empty);
    call('getClientIdByUid', $empty);
    call('getClientIdCountByGroup', $empty);
}
call('sendToUid', [0, 'alice'], 'to alice beside 0');
call('sendToUid', ['', null, 'alice', 42], 'to alice and 42 beside two empty ones');
call('sendToGroup', ['', 'red'], 'to red beside an empty one');
call('getClientIdListByGroup', ['', 'red']);
call('getUidCountByGroup', [0, 'red']);

// Everybody, and single clients.
call('sendToAll', 'to all');
call('sendToAll', 'to 0 and 2', [$c[0], $c[2]]);
call('sendToAll', 'to no list', []);
call('sendToAll', 'to 0 once', [$c[0], $c[0]]);
call('sendToAll', 'to 0 once more', [$c[0], $c[2], strtoupper($c[0])], [$c[2], $c[2]]);
call('sendToUid', ['alice', 'alice'], 'to alice twice');
call('sendToGroup', ['red', 'red'], 'to red twice');
foreach ([7, 1.5, true, false, null, 0] as $scalar) {
    call('sendToAll', $scalar, [$c[0]]);
    call('sendToClient', $c[0], $scalar);
    call('sendToUid', 'alice', $scalar);
}
call('sendToAll', 'to all but 1', null, $c[1]);
call('sendToAll', 'to all but 1 and 2', null, [$c[1], $c[2]]);
call('sendToAll', "\x81\x03raw", null, null, true);
call('sendToClient', $c[3], 'to 3');
call('sendToClient', $c[3], '');
call('sendToClient', $gone, 'to one who is gone');
call('sendToGroup', 7, "\x81\x06raw: 7", null, true);
call('sendToUid', 'alice', '中文 und Ümläute');

// Sessions.
call('setSession', $c[0], ['name' => 'Alice', 'cart' => ['apple' => 1, 'pear' => 2], 'list' => [1, 2, 3]]);
call('getSession', $c[0]);
call('updateSession', $c[0], ['cart' => ['pear' => 5, 'plum' => 1], 'list' => [1 => 'two'], 'price' => 1.5]);
call('getSession', $c[0]);
call('updateSession', $c[0], ['cart' => null, 'name' => ['first' => 'Alice'], 5 => 'five', '6' => 'six', 'flag' => true]);
call('getSession', $c[0]);
call('updateSession', $c[1], ['fresh' => ['a' => ['b' => ['c' => "\x00\x01"]]]]);
call('getSession', $c[1]);
call('setSession', $c[1], []);
call('getSession', $c[1]);
call('setSession', $c[2], [1, 2, [3]]);
call('updateSession', $c[2], [2 => [1 => 4]]);
call('getSession', $c[2]);
call('getAllClientSessions');
call('getAllClientSessions', 'red');
call('getClientSessionsByGroup', 'red');
call('getClientSessionsByGroup', 'none');
call('setSession', $gone, ['lost' => 1]);

// Leaving.
call('closeClient', $c[4], 4);
call('destoryClient', $c[5]);
usleep(200_000 * ($settle > 0));
call('isOnline', $c[4]);
call('isOnline', $c[5]);
call('isOnline', $c[3]);
call('getAllClientIdCount');
call('getAllClientIdList');
call('getClientIdListByGroup', 7);
call('getSession', $c[5]);
call('closeClient', $c[3]);
usleep(200_000 * ($settle > 0));
call('isUidOnline', 42);
call('getAllUidList');
call('sendToAll', 'end');
