/** What the page says, in the language of whoever reads it. */

const WORDS = {
    en: {
        running: 'running', stopping: 'stopping', gone: 'no answer, trying again', asking: 'connecting',
        language: '中文', light: 'Light', dark: 'Dark', forget: 'Forget token', now: 'How the server is now',
        uptime: 'up for', process: 'process',
        clients: 'Clients', in: 'Messages in', out: 'Messages out', traffic: 'Sent', latency: 'Shards answer within',
        memory: 'Memory', slow: 'Slow clients', php: 'PHP connections', uids: 'Uids', second: '/s', most: 'most',
        parked: 'Away, may come back', kept: 'Kept until seen', resumed: 'Came back, nothing missed', gaps: 'Came back with a gap',
        reason: 'Reason', away: 'Away for', hour: 'Last hour', minutes: 'Last ten minutes', events: 'What has happened',
        partOfName: 'part of the name, or empty', list: 'List', memberships: 'memberships:', answers: 'How quickly shards answered, last hour', within: 'Within',
        longer: 'longer', pushAll: 'Push to all', all: 'everybody', tooManyGroups: 'There are too many groups to count them all: give a whole name.',
        by: 'By', group: 'group', groups: 'Groups', address: 'Address', what: 'What to look for', everybody: 'empty: everybody',
        find: 'Find', more: 'More', found: 'found: ', nobody: 'Nobody was found.', listener: 'Listener', listeners: 'Listeners',
        queued: 'Queued bytes', actions: 'Actions', push: 'Push', kick: 'Close', watch: 'Watch', watching: 'Watching', stop: 'Stop',
        handshakes: 'Handshakes', accepted: 'Accepted', shard: 'Shard', shards: 'Shards', worker: 'Worker', workers: 'Workers',
        waiting: 'Waiting events', relays: 'TLS in earlier processes', age: 'Age', offence: 'Kind', offences: 'Refusals and offences', times: 'Times',
        none: 'None', nodes: 'Nodes of the cluster', node: 'Node', state: 'State', self: 'this one', here: 'here', unproven: 'has not answered yet', silent: 'Silent for', token: 'The server asks for its token', enter: 'Enter', message: 'Message, as it is sent',
        farewell: 'Last message, if any', cancel: 'Cancel', send: 'Send', close: 'Close the client', to: 'To', session: 'Session',
        sent: 'sent', closed: 'closed', came: 'is here', left: 'has gone', became: 'is now', every: 'all clients of uid',
    },
    zh: {
        running: '运行中', stopping: '正在停止', gone: '没有应答，正在重试', asking: '正在连接',
        language: 'English', light: '浅色', dark: '深色', forget: '忘记令牌', now: '服务器当前状态',
        uptime: '已运行', process: '进程',
        clients: '客户端', in: '收到消息', out: '发出消息', traffic: '发送流量', latency: '分片应答用时',
        memory: '内存', slow: '慢客户端', php: 'PHP 连接', uids: '用户（uid）', second: '/秒', most: '最高',
        parked: '离线，可恢复', kept: '保留至确认收到', resumed: '已恢复，无遗漏', gaps: '未能恢复', reason: '原因', away: '离线时长', hour: '最近一小时', minutes: '最近十分钟', events: '最近事件',
        partOfName: '名称的一部分，或留空', list: '列出', memberships: '成员关系：', answers: '分片应答用时，最近一小时', within: '用时不超过',
        longer: '更久', pushAll: '推送给所有人', all: '所有人', tooManyGroups: '分组太多，无法全部计数：请输入完整的名称。',
        by: '按', group: '分组', groups: '分组', address: '地址', what: '查找内容', everybody: '留空为全部',
        find: '查找', more: '更多', found: '找到：', nobody: '没有找到。', listener: '监听器', listeners: '监听器',
        queued: '待发字节', actions: '操作', push: '推送', kick: '关闭', watch: '观察', watching: '正在观察', stop: '停止',
        handshakes: '握手中', accepted: '已接受', shard: '分片', shards: '分片', worker: '工作进程', workers: '工作进程',
        waiting: '等待的事件', relays: '由先前进程承载的 TLS', age: '存在时长', offence: '类型', offences: '拒绝与违规', times: '次数',
        none: '无', nodes: '集群节点', node: '节点', state: '状态', self: '本机', here: '在线', unproven: '尚未应答', silent: '静默', token: '服务器需要令牌', enter: '进入', message: '消息，原样发送',
        farewell: '最后一条消息（可空）', cancel: '取消', send: '发送', close: '关闭该客户端', to: '发给', session: '会话',
        sent: '已发送', closed: '已关闭', came: '在线', left: '已离开', became: '现为', every: '该 uid 的全部客户端',
    },
};

const KEPT = 'gateway-language';
let language = localStorage.getItem(KEPT) ?? (navigator.language.startsWith('zh') ? 'zh' : 'en');

export const say = (word) => WORDS[language][word] ?? word;
export const inSeconds = (value) => `${value.toLocaleString(language)} s`;
export const number = (value) => value.toLocaleString(language);

export function sayAll() {
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
    for (const element of document.querySelectorAll('[data-say]')) {
        element.textContent = say(element.dataset.say);
    }
    for (const element of document.querySelectorAll('[data-hint]')) {
        element.placeholder = say(element.dataset.hint);
    }
    for (const element of document.querySelectorAll('[data-label]')) {
        element.setAttribute('aria-label', say(element.dataset.label));
    }
    document.getElementById('language').textContent = say('language');
}

export function changeLanguage() {
    language = language === 'zh' ? 'en' : 'zh';
    localStorage.setItem(KEPT, language);
    sayAll();
}

export function bytes(value) {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let unit = 0;
    for (; value >= 1024 && unit < units.length - 1; unit++) {
        value /= 1024;
    }
    return [value < 10 && unit > 0 ? value.toFixed(1) : number(Math.round(value)), units[unit]];
}

export function duration(seconds) {
    const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
    const two = (value) => String(value).padStart(2, '0');
    return `${days > 0 ? `${days} d ` : ''}${two(hours)}:${two(minutes)}:${two(Math.floor(seconds) % 60)}`;
}
