// Ajax calls carry the page's CSRF token. On Yii2 yii.js does this.
$.ajaxSetup({
    headers: { 'X-CSRF-Token': document.querySelector('meta[name=csrf-token]').content },
});
