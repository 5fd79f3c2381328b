<?php

declare(strict_types=1);

return [
    'A token is to be asked for by POST.' => '令牌须以 POST 请求。',
    'another user has logged in' => '已由另一位用户登录',
    'Answer within' => '响应时间',
    'as in php.ini' => '取自 php.ini',
    'away for too long' => '离开太久',
    'away, coming back' => '已离线，正在恢复',
    'begun anew' => '已重新开始',
    'Bytes' => '字节',
    'Clients' => '客户端',
    'closed by this site' => '已被本站关闭',
    'connected' => '已连接',
    'connected to another gateway' => '连接到了另一个网关',
    'connected, messages may be missing: {reason}' => '已连接，可能缺少消息：{reason}',
    'connected, missed messages recovered: {n}' => '已连接，补收消息：{n} 条',
    'connecting' => '正在连接',
    'disconnected' => '已断开',
    'everybody' => '所有人',
    'Failure' => '失败原因',
    'Gateway' => '推送网关',
    'Give one of --binary and --text.' => '--binary 与 --text 只能给出一个。',
    'Group' => '分组',
    'Groups' => '分组',
    'Method' => '方法',
    'Nobody can be left out of --client=….' => '--client=… 只有一个客户端，不能再排除。',
    'Nobody is logged in.' => '尚未登录。',
    'Only the first {n} are shown.' => '只显示前 {n} 次。',
    'Receivers' => '接收者',
    'Register address' => '注册地址',
    'Sent to {n, plural, =0{nobody, since no client is online} one{1 client} other{# clients}}.' =>
        '{n, plural, =0{没有客户端在线，未发给任何人} other{已发给 # 个客户端}}。',
    'some of them cannot be sent again' => '有些无法重发',
    'That is no JSON: {why}.' => '这不是 JSON：{why}。',
    'The client_id is to be posted.' => 'client_id 须以 POST 提交。',
    'The client_id of the init message is missing or is none.' => '缺少 init 消息中的 client_id，或其格式不对。',
    'the gateway does not know this page' => '网关不认识此页面',
    'the gateway was restarted' => '网关已重启',
    'The message comes first: yii gateway/send MESSAGE --uid=…' =>
        '消息须在前：yii gateway/send 消息 --uid=…',
    'The proof of the init message is missing, or is not that of the client_id.' =>
        '缺少 init 消息中的 proof，或它与 client_id 不符。',
    'The push gateway cannot be reached.' => '无法连接推送网关。',
    'Time' => '用时',
    'To whom? Give one of --uid=…, --group=…, --client=… and --all.' =>
        '发给谁？请在 --uid=…、--group=…、--client=… 和 --all 中给出一个。',
    'too much came meanwhile' => '期间消息过多',
    'Uids' => '用户（uid）',
    'Whom does --{option} leave out? Give --{option}=…, several separated by commas.' =>
        '--{option} 要排除谁？请写 --{option}=…，多个以逗号分隔。',
    '{id} is no client_id.' => '{id} 不是 client_id。',
    '{n} calls of the gateway in {ms} ms, {failures} failed' => '调用网关 {n} 次，共 {ms} 毫秒，失败 {failures} 次',
];
